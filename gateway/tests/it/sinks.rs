//! Sinks and publications.

mod directory;
mod publication;

use bytes::Bytes;
use kubedex_gateway::output::{File, Rendering};

pub(crate) fn file(path: &str, text: &str) -> File {
    File {
        path: path.into(),
        bytes: Bytes::copy_from_slice(text.as_bytes()),
        media_type: "text/plain",
    }
}

/// Everything that is to stand.
pub(crate) fn whole(files: &[(&str, &str)]) -> Rendering {
    Rendering {
        is_whole: true,
        files: files.iter().map(|(path, text)| file(path, text)).collect(),
        ..Rendering::default()
    }
}

/// What differs.
pub(crate) fn part(files: &[(&str, &str)], removed: &[&str]) -> Rendering {
    Rendering {
        is_whole: false,
        removed: removed.iter().map(|path| (*path).into()).collect(),
        ..whole(files)
    }
}
