//! A cluster, as one configuration sees it.

use jiff::Timestamp;
use reading::ports::{DocumentReader, World};
use reading::{ClusterView, NodeSecrets, Pins, Whose};

use crate::config::Config;
use crate::error::NodeError;
use crate::formats::Handed;
use crate::runs_with::RunsWith;
use crate::state::State;

/// A cluster, as one configuration sees it.
#[derive(Debug)]
pub struct Reader<'a, W> {
    world: &'a W,
    config: &'a Config,
    pins: Pins,
    state: State,
}

impl<'a, W: DocumentReader> Reader<'a, W> {
    /// Takes a configuration.
    ///
    /// # Errors
    ///
    /// [`NodeError::Config`] when its pins are none.
    pub fn new(world: &'a W, config: &'a Config) -> Result<Self, NodeError> {
        Ok(Self { world, config, pins: config.pins()?, state: State::below(&config.state) })
    }

    /// What is kept between two runs.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Reads what is public, and keeps what was seen. A peer whose record is not believed now is in it as it was
    /// believed before.
    ///
    /// # Errors
    ///
    /// [`NodeError`], which names what could not be read or is not believed.
    pub async fn view(&self) -> Result<ClusterView, NodeError> {
        let mut seen = self.state.load()?;
        let whose = self.config.whose()?;
        let mut view = ClusterView::read(self.world, &whose, &self.pins, &mut seen).await?;
        let refused: Vec<_> = view.refused.iter().map(|refusal| refusal.index).collect();
        for index in refused {
            if let Some(text) = self.state.known_record(&view.cluster, index) {
                view.keep(index, &text, &self.pins, &seen);
            }
        }
        self.state.keep(&seen)?;
        self.state.keep_records(&view)?;
        Ok(view)
    }

    /// The same; keeps nothing.
    ///
    /// # Errors
    ///
    /// As [`Reader::view`].
    pub async fn view_of_the_node(&self) -> Result<ClusterView, NodeError> {
        let (whose, mut seen) = (self.config.whose()?, self.state.load()?);
        Ok(ClusterView::read(self.world, &whose, &self.pins, &mut seen).await?)
    }

    /// Reads what is public of the whole cluster, as somebody who is no node of it; keeps nothing.
    ///
    /// # Errors
    ///
    /// As [`Reader::view`].
    pub async fn view_without_keeping(&self) -> Result<ClusterView, NodeError> {
        let whose = Whose { index: None, ..self.config.whose()? };
        Ok(ClusterView::read(self.world, &whose, &self.pins, &mut self.state.load()?).await?)
    }
}

/// What a command is started with.
#[derive(Debug)]
pub struct Prepared {
    /// Its secrets.
    pub secrets: Vec<Handed>,
    /// What can be told of it.
    pub with: RunsWith,
}

impl<W: World> Reader<'_, W> {
    /// Fetches what the node's command runs with now, and converts it.
    ///
    /// # Errors
    ///
    /// [`NodeError`].
    pub async fn prepare(&self, view: &ClusterView, now: Timestamp) -> Result<Prepared, NodeError> {
        let index = self.config.index()?;
        let format = self.config.format()?;
        let secrets =
            NodeSecrets::fetch(self.world, view, &self.pins, index, self.config.sealed_under()?, now).await?;
        let secrets = format.convert(&secrets, view, index, now)?;
        Ok(Prepared { secrets, with: RunsWith::of(self.config, view, now)? })
    }
}
