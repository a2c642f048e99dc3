//! The command that runs after a write, such as a load balancer's reload.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::sink::SinkError;

/// How much of the command's output is told, in bytes of each stream.
const OUTPUT: usize = 2_048;

/// How long is waited for the rest of its output after its end.
const DRAIN: Duration = Duration::from_millis(100);

/// Runs it to its end.
///
/// # Errors
/// When it cannot be started, does not end in time, or does not end with 0.
///
/// # Cancel safety
/// It is killed.
pub(super) async fn run(argv: &[String], timeout: Duration) -> Result<(), SinkError> {
    let Some((program, arguments)) = argv.split_first() else {
        return Ok(());
    };
    let failed = |error: io::Error| {
        let is_lasting = matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
        );
        let error = SinkError::passing(format!("running the command {program}"), error);
        if is_lasting { error.lasting() } else { error }
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut reading = Box::pin(async {
        tokio::join!(head(stdout, &mut out), head(stderr, &mut err));
    });
    let ended = tokio::time::timeout(timeout, async {
        let mut is_read = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                () = &mut reading, if !is_read => is_read = true,
            }
        };
        if !is_read {
            // What it said last. A process of its own that keeps the pipe open is not waited for.
            let _ = tokio::time::timeout(DRAIN, &mut reading).await;
        }
        status
    });
    let ended = ended.await;
    drop(reading);
    let said = said(&out, &err);
    match ended {
        Ok(Ok(status)) if status.success() => {
            tracing::debug!(command = program, said, "the command ran");
            Ok(())
        }
        Ok(Ok(status)) => {
            let what = format!("the command {program} failed: {status}");
            Err(match said.is_empty() {
                true => SinkError::passing(what, "it said nothing"),
                false => SinkError::passing(what, said),
            })
        }
        Ok(Err(error)) => Err(failed(error)),
        Err(_elapsed) => {
            let _ = child.kill().await;
            let what = format!("the command {program} did not end within {timeout:?}");
            Err(SinkError::late(what))
        }
    }
}

/// Reads a stream to its end and keeps its beginning.
async fn head(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut chunk = [0; 1_024];
    while let Ok(read @ 1..) = stream.read(&mut chunk).await {
        let room = OUTPUT.saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..read.min(room)]);
    }
}

/// Both streams as one line of text.
fn said(out: &[u8], err: &[u8]) -> String {
    let mut text = String::new();
    for line in [err, out]
        .into_iter()
        .flat_map(|it| it.split(|&byte| byte == b'\n'))
    {
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        if !line.is_empty() {
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.extend(
                line.chars()
                    .map(|it| if it.is_control() { ' ' } else { it }),
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn shell(script: &str, timeout: Duration) -> Result<(), SinkError> {
        run(&["sh", "-c", script].map(str::to_owned), timeout).await
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_command_that_fails_says_why() {
        assert!(shell("true", LONG).await.is_ok());
        let error = shell("echo out; echo 'bad config' >&2; exit 3", LONG).await;
        let error = error.unwrap_err();
        assert!(!error.is_lasting());
        let text = error.chain();
        assert!(
            text.contains("exit status: 3") && text.contains("bad config; out"),
            "{text}"
        );
        let missing = run(&["/nonexistent/reload".to_owned()], LONG)
            .await
            .unwrap_err();
        assert!(missing.is_lasting() && missing.to_string().contains("/nonexistent/reload"));
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended() {
        let error = shell("exec sleep 1000", Duration::from_millis(50)).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("did not end within 50ms"), "{error}");
    }

    #[tokio::test]
    async fn much_output_neither_blocks_nor_fills_the_log() {
        let script = "head -c 1000000 /dev/zero | tr '\\0' x; exit 1";
        let error = shell(script, LONG).await.unwrap_err();
        assert!(error.chain().len() < 2 * OUTPUT);
        // A process that is left behind keeps the pipe open.
        assert!(shell("sleep 5 & exit 0", LONG).await.is_ok());
    }
}
