use super::*;

fn faults(text: &str) -> Vec<String> {
    match Config::parse("gateway.yaml", text) {
        Ok(config) => panic!("it is taken: {config:?}"),
        Err(error) => error.lines().collect(),
    }
}

fn config(text: &str) -> Config {
    Config::parse("gateway.yaml", text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn sections_that_hold_nothing_have_their_defaults() {
    let config = config("cluster:\nhealth: {}\n");
    assert_eq!(config.cluster, ClusterConfig::default());
    assert_eq!(config.health.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:9911");
    assert_eq!(config.leader_election, None);
}

#[test]
fn every_fault_is_told_with_its_place_and_field() {
    let text = "\
cluster: {demo: true, context: x}
dicsovery: {}
discovery:
  namespaces: [shop, Shop, 7]
  selector: 'a=b,,'
  zone: 1
  ip_family: ipv4
  inculde_draining: true
health: {listen: 8080}
admin: [127.0.0.1:9911]
leader_election: {lease_duration: 1500ms, retry: 2s}
";
    assert_eq!(
        faults(text),
        [
            "gateway.yaml: line 1, column 32: cluster.context: it has no meaning beside `demo: true`",
            "gateway.yaml: line 2, column 1: dicsovery: there is no key `dicsovery`, did you mean `discovery`?",
            "gateway.yaml: line 4, column 28: discovery.namespaces[2]: `7` is not text; put it in quotes",
            "gateway.yaml: line 6, column 9: discovery.zone: `1` is not text; put it in quotes",
            "gateway.yaml: line 7, column 14: discovery.ip_family: `ipv4` is not one of IPv4, IPv6, did you mean `IPv4`?",
            "gateway.yaml: line 8, column 3: discovery.inculde_draining: there is no key `inculde_draining`, did you mean `include_draining`?",
            "gateway.yaml: line 9, column 18: health.listen: `8080` is not an IP address with a port, such as 127.0.0.1:8080",
            "gateway.yaml: line 10, column 8: admin: a list is not a mapping",
            "gateway.yaml: line 11, column 43: leader_election.retry: there is no key `retry`; the keys here are lease, namespace, identity, lease_duration, renew_deadline, retry_period, stop_timeout",
        ]
    );
    let text = "discovery: {namespaces: [shop, Shop, shop], selector: 'a=b,,'}\n\
                leader_election: {lease_duration: 1500ms}\n";
    let faults = faults(text);
    assert_eq!(faults.len(), 4, "{faults:#?}");
    assert!(faults[0].contains("line 1, column 32: discovery.namespaces[1]"));
    assert!(faults[1].contains("discovery.namespaces[2]"));
    assert!(faults[2].contains("discovery.selector"));
    assert!(faults[3].contains("leader_election.lease_duration: 1.5s is not one or more whole"));
}

#[test]
fn what_is_no_configuration_at_all_is_refused_in_one_line() {
    for (text, reason) in [
        ("", "it is empty"),
        ("# nothing\n", "it is empty"),
        ("[1, 2]", "line 1, column 1: it is not a mapping"),
        ("a: 1\n---\nb: 2\n", "a second document"),
        ("a: [1\n", "line "),
        ("a: 1\na: 2\n", "duplicate"),
        ("\ta: 1", "line 1"),
    ] {
        let faults = faults(text);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains(reason), "{text:?}: {}", faults[0]);
    }
    let deep = "a: ".to_owned() + &"[".repeat(100_000);
    assert_eq!(faults(&deep).len(), 1);
    let mut laughs = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in ('b'..='j').zip('a'..) {
        let ten = vec![format!("*{before}"); 10].join(", ");
        laughs.push_str(&format!("{name}: &{name} [{ten}]\n"));
    }
    assert!(!faults(&laughs).is_empty());
}

#[test]
fn listeners_must_not_be_in_each_others_way_and_an_open_admin_api_is_warned_of() {
    let found = faults("health: {listen: '0.0.0.0:9911'}");
    assert!(found[0].contains("admin.listen: 127.0.0.1:9911 is taken by health.listen"));
    let publish = "publish: [{format: json, stdout: {}}]\n";
    let open = config(&format!("admin: {{listen: '0.0.0.0:9911'}}\n{publish}"));
    assert_eq!(open.warnings.len(), 1);
    assert!(
        open.warnings[0]
            .to_string()
            .starts_with("line 1, column 17: admin.listen: ")
    );
    let free = "health: {listen: '127.0.0.1:0'}\nadmin: {listen: '127.0.0.1:0'}\n";
    assert!(config(&format!("{free}{publish}")).warnings.is_empty());
}

#[test]
fn the_effective_configuration_reads_as_the_same_one() {
    let written = "\
discovery: {namespaces: [shop], ip_family: IPv6, guard: {max_loss: 30%}, coalescing: 1s}
static: [{name: a, endpoints: [{address: '::1', port: 80}]}, {name: b}]
publish:
- {format: json, stdout: {}}
- {format: traefik, options: {name_prefix: x/}, directory: {path: /a, mode: '0640', command: [a]}, leader_only: true}
leader_election: {identity: me}
";
    let first = config(written);
    let printed = first.effective().to_string();
    assert_eq!(config(&printed), first, "{printed}");
}

#[test]
fn the_least_configuration_is_one_line() {
    let config = config("publish: [{format: json, stdout: {}}]");
    assert_eq!(config.publish[0].name, "json-stdout");
    assert_eq!(config.publish[0].sink, SinkConfig::Stdout);
    assert!(config.warnings.is_empty());
    let nothing = self::config("cluster: {demo: true}");
    assert!(
        nothing.warnings[0]
            .reason()
            .starts_with("nothing is published")
    );
}

#[test]
fn each_publication_has_a_name_of_its_own() {
    let config = config(
        "publish: [{format: json, stdout: {}}, {format: json, stdout: {}}, {format: json, name: json-stdout-2, stdout: {}}]",
    );
    let names: Vec<_> = config.publish.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["json-stdout", "json-stdout-3", "json-stdout-2"]);
    let found = faults(
        "publish: [{format: json, name: a, stdout: {}}, {format: json, name: a, stdout: {}}]",
    );
    assert!(found[0].contains("publish[1].name: another publication is called `a`"));
}

#[test]
fn faults_of_publications_and_static_clusters_are_told_together() {
    let text = "\
publish:
- format: traefick
  stdout: {}
- format: json
- {format: json, stdout: {}, directory: {path: x}}
- {format: json, options: {x: 1}, dir: {}}
- {format: envoy, stdout: {}}
- {format: nginx, options: {keepalive: 0}, directory: {path: a/b}}
- {format: json, directory: {path: a//b/}, leader_only: true}
static:
- {name: a, endpoints: [{address: 300.0.0.1, port: 80}]}
- {name: a, endpoints: [{address: 10.0.0.1, port: 0}]}
";
    let found = faults(text);
    for (line, said) in [
        (
            2,
            "publish[0].format: `traefick` is not one of backends, envoy, haproxy, json, nginx, prometheus, traefik, did you mean `traefik`?",
        ),
        (
            4,
            "publish[1]: say where to write, by one of stdout, directory, s3",
        ),
        (5, "publish[2].directory: there is a sink already"),
        (
            6,
            "publish[3].options.x: there is no key `x`; nothing is set here",
        ),
        (6, "publish[3].dir: there is no key `dir`"),
        (7, "publish[4].options.root: "),
        (8, "publish[5].options.keepalive: "),
        (
            9,
            "publish[6].directory: nginx-directory writes there already",
        ),
        (11, "static[0].endpoints[0].address: "),
        (12, "static[1].name: static[0] has the same name"),
        (12, "static[1].endpoints[0].port: "),
    ] {
        let is_there = found
            .iter()
            .any(|fault| fault.contains(&format!("line {line}, ")) && fault.contains(said));
        assert!(is_there, "line {line}: {said} in {found:#?}");
    }
    let found = faults(
        "publish:\n- {format: envoy, stdout: {}}\n\
         - {format: nginx, options: {keepalive: 0}, directory: {path: a/b}}\n\
         - {format: json, directory: {path: a//b/}, leader_only: true}\n",
    );
    for said in [
        "line 2, column 3: publish[0].options.root: ",
        "line 3, column 40: publish[1].options.keepalive: ",
        "line 4, column 29: publish[2].directory: nginx-directory writes there already",
        "line 4, column 57: publish[2].leader_only: there is no `leader_election`",
    ] {
        assert!(
            found.iter().any(|fault| fault.contains(said)),
            "{said} in {found:#?}"
        );
    }
}

#[test]
fn what_needs_a_restart_is_kept_and_named() {
    let first = config("publish: [{format: json, stdout: {}}]");
    let second = config(
        "admin: {listen: '127.0.0.1:1'}\nstatic: [{name: a}]\ndiscovery: {guard: off}\n\
         publish: [{format: traefik, stdout: {}}]",
    );
    let (next, needs_restart) = first.reloaded(second.clone());
    assert_eq!(needs_restart, ["publish", "admin"]);
    assert_eq!(next.engine(), second.engine());
    assert_eq!((&next.publish, next.admin), (&first.publish, first.admin));
}

#[test]
fn documents_are_checked_like_publications() {
    let config = config("http: {listen: '127.0.0.1:0'}");
    assert!(config.warnings.is_empty());
    let paths: Vec<_> = config
        .http
        .as_ref()
        .unwrap()
        .documents
        .iter()
        .map(|it| &*it.path)
        .collect();
    assert_eq!(paths, ["/traefik", "/prometheus"]);
    let text = "\
http:
  max_connections: 0
  documents:
  - {path: traefik, format: traefik}
  - {path: /snapshot, format: json}
  - {path: /e, format: envoy, options: {root: /x}}
  - {path: /n, format: nginx}
  - {format: json, option: {}}
";
    let found = faults(text);
    for (line, said) in [
        (2, "http: `listen` is missing"),
        (2, "http.max_connections: at least one"),
        (4, "http.documents[0].path: `traefik` is no path"),
        (5, "http.documents[1].path: `/snapshot` is served already"),
        (6, "http.documents[2].format: it makes several files"),
        (
            7,
            "http.documents[3].format: it makes a file for http and one for stream",
        ),
        (8, "http.documents[4]: `path` is missing"),
        (
            8,
            "http.documents[4].option: there is no key `option`, did you mean `options`?",
        ),
    ] {
        let is_there = found
            .iter()
            .any(|fault| fault.contains(&format!("line {line}, ")) && fault.contains(said));
        assert!(is_there, "line {line}: {said} in {found:#?}");
    }
}

#[cfg(feature = "xds")]
#[test]
fn who_may_be_told_by_ads_is_checked() {
    let found = faults("xds: {listen: '0.0.0.0:18000'}");
    assert!(found[0].contains("xds.listen: "), "{found:?}");
    let elsewhere =
        config("xds: {listen: '127.0.0.1:1', tls: {cert_file: /none, key_file: /none}}\n");
    assert_eq!(
        elsewhere.warnings[0].field(),
        "xds.tls",
        "its files may be where it runs"
    );
    let found = faults("xds: {listen: '127.0.0.1:9911'}");
    assert!(found[0].contains("is taken by"), "{found:?}");
}

#[test]
fn a_key_with_nothing_after_it_is_not_taken_for_absent() {
    for (text, said) in [
        (
            "discovery: {selector: }",
            "discovery.selector: nothing stands here",
        ),
        (
            "discovery: {annotation: }",
            "discovery.annotation: nothing stands here",
        ),
        ("discovery: {namespaces: }", "discovery.namespaces: "),
        (
            "publish: [{format: json, stdout: {}, leader_only: }]",
            "publish[0].leader_only: nothing",
        ),
        (
            "publish: [{format: json, stdout: {}, name: }]",
            "publish[0].name: nothing",
        ),
        (
            "publish: [{format: , stdout: {}}]",
            "publish[0]: `format` is missing",
        ),
        ("http: {listen: }", "http: `listen` is missing"),
        ("http:", "http: `listen` is missing"),
        (
            "http: {listen: '127.0.0.1:0', max_connections: }",
            "http.max_connections: nothing stands here",
        ),
        (
            "http: {listen: '127.0.0.1:0', documents: [{path: , format: json}]}",
            "http.documents[0]: `path` is missing",
        ),
        (
            "leader_election: {namespace: }",
            "leader_election.namespace: nothing stands here",
        ),
    ] {
        let found = faults(text);
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        assert!(found[0].contains(said), "{text}: {}", found[0]);
    }
    let commented_out = config("static:\nstatic_precedence:\npublish:\ndiscovery:\n");
    assert!(commented_out.statics.is_empty() && commented_out.publish.is_empty());
    assert_eq!(commented_out.static_precedence, Origin::Static);
}

#[test]
fn what_is_no_word_is_told_the_words_that_there_are() {
    for (value, said) in [("5", "`5`"), ("[opt-in]", "a list"), ("", "nothing")] {
        let found = faults(&format!("discovery: {{annotation: {{mode: {value}}}}}"));
        let reason = format!("discovery.annotation.mode: {said} is not one of opt-in, opt-out");
        assert!(found[0].ends_with(&reason), "{found:?}");
    }
}

#[test]
fn publications_must_not_be_in_each_others_way_however_it_is_spelled() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("link")).unwrap();
    let two = |one: &str, two: &str| {
        format!(
            "publish:\n- {{format: json, directory: {{path: {root}/{one}}}}}\n\
             - {{format: json, directory: {{path: {root}/{two}}}}}\n"
        )
    };
    for (one, other) in [("x", "y/../x"), ("x", "link/x"), ("x", "x/")] {
        let found = faults(&two(one, other));
        assert!(found[0].contains("publish[1].directory: json-directory writes there"));
    }
    let nested = config(&two("x", "link/x/y"));
    assert!(nested.warnings[0].reason().contains("one below the other"));
    assert!(config(&two("x", "xy")).warnings.is_empty());

    let slots = |one: &str, two: &str| {
        format!(
            "publish:\n- {{format: haproxy, options: {{slots_file: '{one}'}}, stdout: {{}}}}\n\
             - {{format: haproxy, options: {{slots_file: '{two}'}}, stdout: {{}}}}\n"
        )
    };
    let found = faults(&slots("/a/slots.json", "/a/b/../slots.json"));
    assert!(found[0].contains("publish[1].options.slots_file: haproxy-stdout keeps its slots"));
    for nameless in ["", "/", "a/.."] {
        let found = faults(&slots("/a", nameless));
        assert!(found[0].contains("publish[1].options.slots_file: it does not name a file"));
    }
    config(&slots("/a/one", "/a/two"));
}

#[test]
fn what_no_service_has_cannot_be_chosen() {
    let found = faults(
        "discovery: {ports: [http, '80', HTTP, 'a b', '0', '65536', ''], annotation: {mode: opt-in, key: 'a b/c'}}",
    );
    let ports = found.iter().filter(|fault| fault.contains(".ports["));
    assert_eq!(ports.count(), 5, "{found:#?}");
    assert!(
        found
            .iter()
            .any(|fault| fault.contains("annotation.key: `a b/c` is no"))
    );
    for key in ["expose", "example.com/expose", "Example.com/a.b_c"] {
        config(&format!(
            "discovery: {{annotation: {{mode: opt-in, key: {key}}}}}"
        ));
    }
    for key in ["a/b/c", "/a", "a/", "-a", "''"] {
        assert_eq!(
            faults(&format!(
                "discovery: {{annotation: {{mode: opt-in, key: {key}}}}}"
            ))
            .len(),
            1
        );
    }
}

#[test]
fn files_that_may_be_elsewhere_are_warned_of() {
    let found = config("cluster: {kubeconfig: /nonexistent/config}\nhttp: {listen: '127.0.0.1:0'}");
    assert_eq!(found.warnings.len(), 1);
    assert_eq!(found.warnings[0].field(), "cluster.kubeconfig");
    assert!(found.warnings[0].reason().ends_with("it does not run here"));
}

#[cfg(feature = "s3")]
#[test]
fn gateways_that_may_overwrite_each_other_in_a_store_are_warned_of() {
    let warnings = |sink: &str, rest: &str| {
        let key = tempfile::NamedTempFile::new().unwrap();
        let credentials = key.path().display();
        let text = format!(
            "publish:\n- {{format: json, s3: {{bucket: gateway, credentials_file: {credentials}{sink}}}{rest}}}\n\
             - {{format: json, stdout: {{}}, leader_only: true}}\nleader_election: {{}}\n"
        );
        let warnings = config(&text).warnings;
        let line = |it: &Fault| format!("{}: {}", it.field(), it.reason());
        warnings.iter().map(line).collect::<Vec<_>>()
    };
    assert!(warnings(", prefix: gw", ", leader_only: true").is_empty());
    assert!(warnings(", cluster_id: eu", ", leader_only: true").is_empty());
    let found = warnings(", prefix: gw", "");
    assert!(found[0].starts_with("publish[0].s3: every replica writes to s3://gateway/gw"));
    let found = warnings("", ", leader_only: true");
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("at the top of s3://gateway; two gateways"));
    let missing = config(
        "publish: [{format: json, s3: {bucket: gateway, prefix: x, credentials_file: /nonexistent}}]",
    );
    assert_eq!(
        missing.warnings[0].field(),
        "publish[0].s3.credentials_file"
    );
}
