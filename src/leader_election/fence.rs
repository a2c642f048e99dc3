//! The other side of a fencing token: a resource that accepts only the newest one.

use std::cmp::Ordering;

use crate::resource::compare_resource_versions;

/// Remembers the newest fencing token that a resource was written with, and refuses older ones.
///
/// A token is only worth something if the resource that the work writes to compares it: this is how. Keep the newest token
/// beside the data, and check and write in one transaction, or under one lock.
///
/// Tokens are resource versions, ordered as decimal numbers of any length. Restoring etcd from a backup can set them back;
/// after that, the fence has to be reset by hand.
///
/// ```
/// use kubedex::leader_election::Fence;
/// let mut fence = Fence::new();
/// fence.admit("99").unwrap();
/// fence.admit("1000").unwrap();
/// assert!(fence.admit("99").unwrap_err().is_stale());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    newest: Option<Box<str>>,
}

/// Why a [`Fence`] refused a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fencing token {token:?} is refused: {}", match .newest {
    Some(newest) => format!("the newest one is {newest:?}"),
    None => "it is no resource version".to_owned(),
})]
pub struct FenceError {
    token: String,
    newest: Option<Box<str>>,
}

impl FenceError {
    /// Whether a newer token was seen: another leader has been at work since.
    pub fn is_stale(&self) -> bool {
        self.newest.is_some()
    }
}

impl Fence {
    /// A fence that has seen no token.
    pub fn new() -> Self {
        Self::default()
    }

    /// A fence that goes on from the newest token that was stored.
    ///
    /// # Errors
    /// When it is no resource version.
    pub fn from_newest(token: &str) -> Result<Self, FenceError> {
        let mut fence = Self::new();
        fence.admit(token)?;
        Ok(fence)
    }

    /// Lets the newest token pass, again too, or a newer one, which then is the newest.
    ///
    /// # Errors
    /// When a newer one was seen, or it is no resource version.
    pub fn admit(&mut self, token: &str) -> Result<(), FenceError> {
        let newest = self.newest.as_deref().unwrap_or("0");
        match compare_resource_versions(token, newest) {
            Some(Ordering::Equal) if self.newest.is_some() => Ok(()),
            Some(Ordering::Greater | Ordering::Equal) => {
                self.newest = Some(token.into());
                Ok(())
            }
            Some(Ordering::Less) => Err(FenceError {
                token: token.to_owned(),
                newest: self.newest.clone(),
            }),
            None => Err(FenceError {
                token: token.to_owned(),
                newest: None,
            }),
        }
    }

    /// The newest token seen, to be stored.
    pub fn newest(&self) -> Option<&str> {
        self.newest.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l10_only_the_newest_token_passes() {
        let mut fence = Fence::new();
        for token in ["9", "9", "10", "10", "123456789012345678901234567890"] {
            fence.admit(token).unwrap();
        }
        let error = fence.admit("11").unwrap_err();
        assert!(error.is_stale(), "{error}");
        assert_eq!(fence.newest(), Some("123456789012345678901234567890"));
    }

    #[test]
    fn l10_what_is_no_resource_version_never_passes() {
        let mut fence = Fence::from_newest("5").unwrap();
        for odd in ["", "x", "07", "-1"] {
            let error = fence.admit(odd).unwrap_err();
            assert!(!error.is_stale(), "{error}");
            assert!(Fence::new().admit(odd).is_err());
        }
        assert_eq!(fence.newest(), Some("5"));
    }
}
