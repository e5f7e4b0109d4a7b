//! Whom the nemesis strikes.

use std::fmt;
use std::sync::Arc;

use super::cluster_node::JoinCluster;
use super::node::Join;
use crate::broker::{Recipe, Text};
use crate::subject::{Subject, with_options};

/// Whom the nemesis strikes: nodes of one kind, and the broker between them.
#[derive(Clone)]
#[must_use]
pub struct Contestant {
    pub(crate) label: String,
    pub(crate) recipe: Option<Recipe>,
    pub(crate) options: Text,
    pub(crate) join: Arc<dyn Join>,
}

impl Contestant {
    /// Nodes that are not Roomcast's, for comparison: `benches/peers` in the repository has some.
    pub fn peer(name: &str, recipe: Recipe, join: impl Join) -> Self {
        Self { label: name.to_owned(), recipe: Some(recipe), options: Text::default(), join: Arc::new(join) }
    }

    /// The URL with this contestant's options.
    pub(crate) fn with_options(&self, url: String) -> String {
        with_options(url, &self.options)
    }
}

/// Roomcast's nodes over this backend.
impl From<&Subject> for Contestant {
    fn from(subject: &Subject) -> Self {
        let join = Arc::new(JoinCluster { connect: Arc::clone(&subject.connect) });
        Self { label: subject.label(), recipe: subject.recipe.clone(), options: subject.options.clone(), join }
    }
}

impl fmt::Debug for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contestant").field("label", &self.label).finish_non_exhaustive()
    }
}
