//! Fencing tokens in a store: how the leader that wrote an object stands to this one.
//!
//! A token is the uid of the Lease, a slash, and a number; or the number alone, which is taken for one of the same Lease.
//! Numbers of the same Lease grow. Those of another one are as good as any while they are lower; higher ones may be of a
//! cluster that is no more, or of one that writes here, too.

use std::cmp::Ordering;

use kubedex::resource::compare_resource_versions;

/// Who wrote an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Author {
    /// This leader, or one before it.
    NotNewer,
    /// A leader after this one.
    Newer,
    /// A leader by another Lease, whose number is higher.
    OtherLease,
}

/// Who wrote an object, by this leader's token and that of the object.
pub(super) fn author(ours: &str, theirs: &str) -> Author {
    let (our_lease, our_number) = split(ours);
    let (their_lease, their_number) = split(theirs);
    if compare_resource_versions(our_number, their_number) != Some(Ordering::Less) {
        return Author::NotNewer;
    }
    match our_lease.zip(their_lease) {
        Some((ours, theirs)) if ours != theirs => Author::OtherLease,
        _ => Author::Newer,
    }
}

fn split(token: &str) -> (Option<&str>, &str) {
    match token.rsplit_once('/') {
        Some((lease, number)) => (Some(lease), number),
        None => (None, token),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_number_is_newer_unless_it_is_of_another_lease() {
        for (ours, theirs, who) in [
            ("9", "9", Author::NotNewer),
            ("10", "9", Author::NotNewer),
            ("9", "10", Author::Newer),
            ("a/9", "a/10", Author::Newer),
            ("a/10", "a/9", Author::NotNewer),
            ("a/9", "b/10", Author::OtherLease),
            ("a/10", "b/9", Author::NotNewer),
            // Written before the Lease was noted.
            ("a/9", "10", Author::Newer),
            ("9", "b/10", Author::Newer),
            ("a/10", "9", Author::NotNewer),
            ("a/9", "what", Author::NotNewer),
        ] {
            assert_eq!(author(ours, theirs), who, "{ours} and {theirs}");
        }
    }
}
