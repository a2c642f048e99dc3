//! What is known of a reflector from its side of the wire, and what it must and must not ask for next.
//!
//! Pure: requests and answers in, complaints out. [`Wire`] follows the version that the reflector can have reached,
//! between two bounds, since not everything that it does with a line can be seen from here.

use serde::Deserialize;

use super::asked::Asked;

/// How many lists in a row must be older than what was seen before they may be taken for the truth.
const STALE_LISTS: u8 = 4;

/// One list/watch loop, as seen on the wire.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// The version that the reflector has reached for sure, and the newest that it may have.
    resume: u64,
    most: u64,
    /// The newest version of an object that it may have seen, in lists that broke off and in objects read by themselves: a
    /// list before it may count as too old.
    shown: u64,
    synced: bool,
    /// It has reason to list anew.
    may_list: bool,
    /// It is listing anew, with as many attempts as it takes.
    listing: bool,
    must_list: bool,
    must_list_whole: bool,
    auditing: bool,
    /// At most this many lists in a row were too old.
    stale: u8,
    garbled: Garbled,
    /// Not everything that was read can be followed, for instance because the store fails.
    pub(super) lenient: bool,
}

/// Where a line was last garbled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Garbled {
    #[default]
    Nowhere,
    At(u64),
    /// Somewhere, perhaps.
    Unknown,
}

/// What is known of the answer being read.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// It began as a streaming list, of which the end did not come yet.
    streaming: bool,
    /// A line was such that the reflector may have stopped reading.
    uncertain: bool,
    /// It has stopped for sure.
    over: bool,
}

/// What an answer means to whoever keeps the versions of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    Nothing,
    /// What comes next may be older than what was there.
    WentBack,
}

/// One line of a watch.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) object: LineObject,
}

#[derive(Debug, Deserialize)]
pub(super) struct LineObject {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    code: u16,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    metadata: LineMetadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LineMetadata {
    name: String,
    resource_version: String,
    annotations: std::collections::BTreeMap<String, String>,
}

/// The end of a list.
#[derive(Debug, Deserialize)]
pub(super) struct ListView {
    #[serde(default)]
    metadata: ListMetadata,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ListMetadata {
    resource_version: String,
    #[serde(rename = "continue")]
    token: String,
}

/// What the kind of an object is changed to, so that it cannot be read.
pub(super) const MANGLED: &str = "Mangled";

impl ListView {
    pub(super) fn version(&self) -> u64 {
        self.metadata.resource_version.parse().unwrap_or_default()
    }
}

impl Line {
    pub(super) fn version(&self) -> u64 {
        self.object
            .metadata
            .resource_version
            .parse()
            .unwrap_or_default()
    }

    pub(super) fn show(&self) -> String {
        let LineObject {
            kind,
            code,
            metadata,
            ..
        } = &self.object;
        match &*self.kind {
            "ERROR" => format!("ERROR {code}"),
            "BOOKMARK" => format!("BOOKMARK @{}", metadata.resource_version),
            event => format!(
                "{event} {kind} {} @{}",
                metadata.name, metadata.resource_version
            ),
        }
    }

    fn ends_initial_events(&self) -> bool {
        self.object
            .metadata
            .annotations
            .contains_key("k8s.io/initial-events-end")
    }
}

fn is_passing(code: u16) -> bool {
    matches!(code, 401 | 429 | 500..)
}

impl Wire {
    /// A request is made; a complaint if it should not be.
    pub(super) fn asks(&mut self, asked: &Asked) -> Result<Answer, String> {
        let auditing = std::mem::take(&mut self.auditing);
        match asked {
            Asked::Watch(version) => self.asks_watch(*version)?,
            Asked::List { .. } | Asked::Stream => self.asks_list(asked)?,
            Asked::Audit => self.auditing = true,
            Asked::Page => self.auditing = auditing,
            Asked::Get | Asked::Discovery => {}
        }
        Ok(Answer {
            streaming: *asked == Asked::Stream,
            ..Answer::default()
        })
    }

    fn asks_watch(&mut self, version: u64) -> Result<(), String> {
        let (resume, most) = (self.resume, self.most);
        if self.lenient {
            return Ok(());
        }
        if !self.synced {
            return Err("a watch before a list was complete".to_owned());
        }
        if self.must_list {
            return Err(format!(
                "R11: a watch from {version} once more, although the same place was garbled twice"
            ));
        }
        if version < resume {
            return Err(format!(
                "R3: a watch resumes from {version}, but {resume} was reached"
            ));
        }
        if version > most {
            return Err(format!(
                "a watch resumes from {version}, but no more than {most} can have been reached"
            ));
        }
        (self.resume, self.most) = (version, version);
        self.listing = false;
        self.stale = 0;
        Ok(())
    }

    fn asks_list(&mut self, asked: &Asked) -> Result<(), String> {
        self.must_list = false;
        if std::mem::take(&mut self.must_list_whole) && *asked == (Asked::List { limit: true }) {
            return Err("R2: a list begins anew in pages, although a page had expired".to_owned());
        }
        if self.lenient || !self.synced || self.listing {
            return Ok(());
        }
        if !std::mem::take(&mut self.may_list) {
            return Err("R3, R5: lists anew without a reason".to_owned());
        }
        self.listing = true;
        Ok(())
    }

    /// The server answered with a status other than success.
    pub(super) fn refused(&mut self, asked: &Asked, code: u16) {
        match asked {
            Asked::Watch(_) | Asked::Get if !is_passing(code) => self.may_list = true,
            // A version in the server's future is refused with 504, and given up after a while.
            Asked::Watch(_) if code == 504 => self.may_list = true,
            Asked::Page if code == 410 && !self.auditing => self.must_list_whole = true,
            _ => {}
        }
    }

    /// A whole line was read, `None` if it is no event.
    pub(super) fn reads(&mut self, answer: &mut Answer, line: Option<&Line>) -> News {
        if answer.over {
            return News::Nothing;
        }
        let Some(line) = line else {
            self.garbled(answer);
            return News::Nothing;
        };
        match &*line.kind {
            "BOOKMARK" if answer.streaming => {
                if line.ends_initial_events() {
                    answer.streaming = false;
                    return self.listed(line.version());
                }
            }
            "BOOKMARK" => self.bookmark(answer, line.version()),
            "ERROR" => {
                answer.over = true;
                let LineObject {
                    code,
                    reason,
                    message,
                    ..
                } = &line.object;
                let expired = *code == 410 || reason == "Expired" || reason == "Gone";
                if expired || !is_passing(*code) || message.contains("Too large") {
                    self.may_list = true;
                }
            }
            _ if answer.streaming => self.shown = self.shown.max(line.version()),
            _ => self.event(answer, line),
        }
        News::Nothing
    }

    fn garbled(&mut self, answer: &mut Answer) {
        let uncertain = answer.uncertain;
        answer.over = true;
        if answer.streaming {
            return;
        }
        match self.garbled {
            Garbled::At(version) if !uncertain && version == self.resume => {
                self.garbled = Garbled::Nowhere;
                self.must_list = true;
                self.may_list = true;
            }
            Garbled::Unknown => self.may_list = true,
            _ if uncertain => self.may_list = true,
            _ => {}
        }
        if uncertain {
            self.garbled = Garbled::Unknown;
        } else if !self.must_list && self.garbled != Garbled::Unknown {
            self.garbled = Garbled::At(self.resume);
        }
    }

    fn bookmark(&mut self, answer: &mut Answer, version: u64) {
        if version < self.resume || (answer.uncertain && version < self.most) {
            self.may_list = true;
            answer.uncertain = true;
        }
        self.most = self.most.max(version);
        if !answer.uncertain {
            self.resume = version;
        }
    }

    fn event(&mut self, answer: &mut Answer, line: &Line) {
        let version = line.version();
        if version <= self.most || line.object.kind == MANGLED {
            // Passed over, or a reason to stop: which, depends on what is stored; or read by itself, which may fail.
            answer.uncertain = true;
            self.may_list = true;
            self.garbled = Garbled::Unknown;
        }
        self.most = self.most.max(version);
        if !answer.uncertain {
            self.resume = version;
            self.garbled = Garbled::Nowhere;
        }
    }

    /// The reflector is asked for a list.
    pub(super) fn list_wanted(&mut self) {
        self.may_list = true;
    }

    /// A state as of this version was perhaps read.
    pub(super) fn shows(&mut self, version: u64) {
        self.shown = self.shown.max(version);
    }

    /// A page was read to its end.
    pub(super) fn read_page(&mut self, list: &ListView) -> News {
        if self.auditing || !list.metadata.token.is_empty() {
            self.shows(list.version());
            return News::Nothing;
        }
        self.listed(list.version())
    }

    fn listed(&mut self, version: u64) -> News {
        let is_first = !std::mem::replace(&mut self.synced, true);
        if version >= self.shown && (is_first || version >= self.most) {
            (self.resume, self.most) = (version, version);
            self.stale = 0;
            self.listing = false;
            return News::Nothing;
        }
        self.listing |= is_first || self.may_list;
        self.most = self.most.max(version);
        self.stale += 1;
        if self.stale >= STALE_LISTS {
            self.shown = 0;
            (self.resume, self.most) = (version, self.most);
            return News::WentBack;
        }
        if version >= self.resume {
            self.resume = version;
        }
        News::Nothing
    }
}
