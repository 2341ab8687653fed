//! A cluster, as one configuration sees it.

use jiff::Timestamp;
use reading::ports::{DocumentReader, VersionReader, World};
use reading::{ClusterView, DatabaseLogin, NodeSecrets, Pins, ReadError, Whose, fetch_role_key, read_chain};

use crate::config::Config;
use crate::error::NodeError;
use crate::formats::{Handed, op_node, tsm};
use crate::runs_with::{Beside, RunsWith};
use crate::sequencer::{self, SequencerKey};
use crate::source::Source;
use crate::state::State;
use crate::status;

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

    /// The key of the sequencer that counts, and keeps what was seen; none where the command is not handed one. It
    /// reads no secret.
    ///
    /// # Errors
    ///
    /// [`NodeError`], which names the document.
    pub async fn sequencer_key(&self) -> Result<Option<SequencerKey>, NodeError> {
        let Some(told) = &self.config.sequencer else { return Ok(None) };
        let chain = told.chain(&self.config.cluster);
        if let Some(key) = told.fixed() {
            return Ok(Some(SequencerKey { chain: chain.clone(), key: key.clone() }));
        }
        let mut seen = self.state.load()?;
        let document = read_chain(self.world, chain, self.config.index, &self.pins, &mut seen).await?;
        self.state.keep(&seen)?;
        sequencer::counting(document).map(Some)
    }
}

impl<W: VersionReader> Reader<'_, W> {
    /// The version of the login at the node's database that is current; none where the command is not handed
    /// one. It reads no secret.
    ///
    /// # Errors
    ///
    /// [`NodeError::Read`].
    pub async fn database_login_version(&self) -> Result<Option<String>, NodeError> {
        let Some((_, login)) = self.config.database_login() else { return Ok(None) };
        Ok(Some(self.world.current_version(login.secret.as_str()).await?))
    }

    /// The same to be shown.
    pub async fn database_login_status(&self) -> Option<status::DatabaseLogin> {
        let (_, login) = self.config.database_login()?;
        let version = self.database_login_version().await.transpose()?;
        let version = version.map_err(|error| error.to_string());
        Some(status::DatabaseLogin { secret: login.secret.clone(), version })
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
        let sealed_under = self.config.sealed_under()?;
        let own = Box::pin(NodeSecrets::fetch(self.world, view, &self.pins, index, sealed_under, now));
        let (own, login) = futures_util::future::try_join(own, Box::pin(self.database_login())).await?;
        let sequencer = Box::pin(self.sequencer()).await?;
        let mut secrets = format.convert(&own, view, index, now)?;
        let mut beside = Beside::default();
        if let Some((version, handed)) = login {
            secrets.push(handed);
            beside.database_login = Some(version);
        }
        if let Some((key, handed)) = sequencer {
            secrets.push(handed);
            beside.sequencer = Some(key.to_string());
        }
        Ok(Prepared { secrets, with: RunsWith::of(self.config, view, beside, now)? })
    }

    /// The key of the sequencer that counts, as the command takes it, and which one it is.
    async fn sequencer(&self) -> Result<Option<(SequencerKey, Handed)>, NodeError> {
        let Source::Vault(settings) = &self.config.source else { return Ok(None) };
        let Some(SequencerKey { chain, key }) = self.sequencer_key().await? else { return Ok(None) };
        let role = sequencer::role();
        let fetched = fetch_role_key(self.world, &settings.name, &chain, &role, &key).await?;
        let handed = op_node::convert_sequencer(&fetched);
        Ok(Some((SequencerKey { chain, key }, handed)))
    }

    /// The login at the node's database that is current, as the command takes it, and its version.
    async fn database_login(&self) -> Result<Option<(String, Handed)>, ReadError> {
        let Some((variable, login)) = self.config.database_login() else { return Ok(None) };
        let fetched = DatabaseLogin::fetch(self.world, &login.secret).await?;
        let handed = tsm::convert_login(variable, &fetched, &login.roots);
        Ok(Some((fetched.version_id, handed)))
    }
}
