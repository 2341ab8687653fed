//! What nodes say to each other, on the MPC port: who they are, and that they are there.
//!
//! Inside mutual TLS each line is a few words of ASCII. The server says `player <index>`, then the
//! client does, and from then on each `ping` is answered with `pong`. The server speaks first because
//! a client of TLS 1.3 believes itself let in before the server has seen its key: whoever is refused
//! reads so in place of that line.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use key_material::{Curve, KeyMaterialError, P2pPrivateKey, P2pPublicKey};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{error::Elapsed, timeout};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::address::PeerAddress;
use crate::listening;
use crate::node::Node;
use crate::tls;

/// How long a handshake, or all of a ping, may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes in the longest line.
const LINE: u64 = 32;

/// Two nodes did not come together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerFault {
    /// The port is closed.
    #[error("nobody listens there")]
    NotConnected,
    /// It took longer than a second.
    #[error("no answer within a second")]
    Late,
    /// The other side does not expect this key.
    #[error("the other side refuses this key")]
    Refused,
    /// The other side shows another key than this side expects.
    #[error("the other side shows a key that is not expected")]
    AnotherKey,
    /// The other side says that it is another player than its key stands for.
    #[error("the other side says it is player {0}")]
    AnotherPlayer(u32),
    /// Anything else.
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// Knocks at a node's MPC port with a key that is none of its cluster's, and says how that ended: with
/// [`PeerFault::Refused`] where the node is as it should be, with the index that the node says it has
/// where it lets this key in.
///
/// # Errors
///
/// How it was refused.
pub async fn stranger(
    address: SocketAddr,
    expected: &P2pPublicKey,
    key: &P2pPrivateKey,
) -> Result<u32, PeerFault> {
    let own = tls::certified(key)?;
    timeout(PATIENCE, async {
        let (mut lines, player) = enter(&own, address, expected).await?;
        lines.end().await;
        Ok(player)
    })
    .await?
}

/// Knocks at a node's MPC port with this key, which may be one that the node knows, and expects a
/// server with another key there: it ends with [`PeerFault::AnotherKey`], on the dialing side.
///
/// # Errors
///
/// How it was refused.
pub async fn misled(address: SocketAddr, key: &P2pPrivateKey) -> Result<u32, PeerFault> {
    let nobodys = P2pPrivateKey::make(Curve::P256)?.public_key();
    stranger(address, &nobodys, key).await
}

/// Dials a node, says who it is itself, and pings once. Gives the index that the other says it has.
pub(crate) async fn ping(
    index: u32,
    own: &Arc<CertifiedKey>,
    address: &PeerAddress,
    expected: &P2pPublicKey,
) -> Result<u32, PeerFault> {
    timeout(PATIENCE, async {
        let address = address.resolve().await?;
        let (mut lines, player) = enter(own, address, expected).await?;
        lines.say_player(index).await?;
        lines.say("ping").await?;
        let answer = lines.hear().await?;
        lines.end().await;
        match answer.as_deref() {
            Some("pong") => Ok(player),
            _ => Err(PeerFault::Broken("a ping was not answered".to_owned())),
        }
    })
    .await?
}

/// Dials a node until each side has proven its key, and hears who the other says it is.
async fn enter(
    own: &Arc<CertifiedKey>,
    address: SocketAddr,
    expected: &P2pPublicKey,
) -> Result<(Lines<TlsStream<TcpStream>>, u32), PeerFault> {
    let stream = TcpStream::connect(address).await.map_err(|_| PeerFault::NotConnected)?;
    let _ = stream.set_nodelay(true);
    // The key is what is checked; a name for it is asked for, and goes nowhere.
    let name = ServerName::from(IpAddr::from(Ipv4Addr::LOCALHOST));
    let connector = TlsConnector::from(tls::client(own, expected)?);
    let mut lines = Lines::over(connector.connect(name, stream).await?);
    let player = lines.hear_player().await?;
    Ok((lines, player))
}

/// Takes connections until its task ends, and every conversation with it.
pub(crate) async fn serve(listener: TcpListener, node: Arc<Node>) {
    let mut conversations = JoinSet::new();
    loop {
        let stream = listening::next(&listener).await;
        while conversations.try_join_next().is_some() {}
        let node = Arc::clone(&node);
        conversations.spawn(async move {
            if let Err(fault) = converse(stream, &node).await {
                node.note(format_args!("a connection of another node ended: {fault}"));
            }
        });
    }
}

async fn converse(stream: TcpStream, node: &Node) -> Result<(), PeerFault> {
    let admitted = node.admitted();
    let handshake = TlsAcceptor::from(Arc::clone(&admitted.tls)).accept(stream).into_fallible();
    let stream = match timeout(PATIENCE, handshake).await? {
        Ok(stream) => stream,
        Err((fault, stream)) => {
            linger(stream).await;
            return Err(fault.into());
        }
    };
    let shown = stream.get_ref().1.peer_certificates().and_then(|shown| shown.first());
    let player = shown.and_then(|shown| admitted.player(shown)).ok_or(PeerFault::AnotherKey)?;
    let mut lines = Lines::over(stream);
    lines.say_player(node.index).await?;
    let said = lines.hear_player().await?;
    if said != player {
        return Err(PeerFault::AnotherPlayer(said));
    }
    while let Some(line) = lines.hear().await? {
        if line != "ping" {
            return Err(PeerFault::Broken("neither a ping nor an end".to_owned()));
        }
        lines.say("pong").await?;
    }
    Ok(())
}

/// Lets the other side read why it was refused: a socket that is closed with something unread in it
/// resets the connection, and takes back what was sent.
async fn linger(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let _ = timeout(PATIENCE, tokio::io::copy(&mut stream, &mut tokio::io::sink())).await;
}

/// A connection, a line at a time.
struct Lines<S>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Lines<S> {
    fn over(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        self.0.write_all(format!("{line}\n").as_bytes()).await?;
        self.0.flush().await
    }

    /// The next line, if the other side has not ended.
    async fn hear(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        if (&mut self.0).take(LINE).read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        match line.strip_suffix('\n') {
            Some(line) => Ok(Some(line.to_owned())),
            None => Err(io::Error::other("a line is too long, or not whole")),
        }
    }

    async fn say_player(&mut self, index: u32) -> io::Result<()> {
        self.say(&format!("player {index}")).await
    }

    async fn hear_player(&mut self) -> Result<u32, PeerFault> {
        let line = self.hear().await?;
        line.as_deref()
            .and_then(|line| line.strip_prefix("player "))
            .and_then(|index| index.parse().ok())
            .ok_or_else(|| PeerFault::Broken("the other side did not say who it is".to_owned()))
    }

    /// Says that nothing follows.
    async fn end(&mut self) {
        let _ = self.0.shutdown().await;
    }
}

impl From<rustls::Error> for PeerFault {
    fn from(fault: rustls::Error) -> Self {
        match fault {
            rustls::Error::AlertReceived(AlertDescription::AccessDenied) => Self::Refused,
            rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
                Self::AnotherKey
            }
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<io::Error> for PeerFault {
    fn from(fault: io::Error) -> Self {
        match fault.downcast::<rustls::Error>() {
            Ok(fault) => fault.into(),
            Err(fault) if fault.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Broken("the other side hung up".to_owned())
            }
            Err(fault) => Self::Broken(fault.to_string()),
        }
    }
}

impl From<KeyMaterialError> for PeerFault {
    fn from(fault: KeyMaterialError) -> Self {
        Self::Broken(fault.to_string())
    }
}

impl From<Elapsed> for PeerFault {
    fn from(_: Elapsed) -> Self {
        Self::Late
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use crate::config::Config;

    use super::*;

    fn config(peer: &P2pPrivateKey) -> String {
        format!(
            "[Player]\nIndex = 0\nPrivateKey = \"{{{{ env `P2P_KEY` }}}}\"\n\
             [MPCDirectServer]\nPort = 1\n[SDKServer]\nPort = 2\n\
             [Players.1]\nAddress = \"tcp://127.0.0.1:3\"\nPublicKey = \"{}\"\n",
            peer.public_key().to_spki_base64()
        )
    }

    #[tokio::test]
    async fn who_is_connected_stays_so_when_others_are_expected() {
        let [own, before, after] = [(); 3].map(|()| P2pPrivateKey::make(Curve::P256).unwrap());
        // EXPOSE: to the node of this test.
        let key = own.expose_sec1_base64();
        let variables = move |_: &str| Some(OsString::from(key.as_str()));
        let node = Node::new(Config::parse(&config(&before), &variables).unwrap()).unwrap();
        let node = Arc::new(node);
        let listener = listening::listen(Ipv4Addr::LOCALHOST, 0).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener, Arc::clone(&node)));

        let (mut lines, player) =
            enter(&tls::certified(&before).unwrap(), address, &own.public_key()).await.unwrap();
        assert_eq!(player, 0);
        lines.say_player(1).await.unwrap();
        lines.say("ping").await.unwrap();
        assert_eq!(lines.hear().await.unwrap().as_deref(), Some("pong"));

        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), config(&after)).unwrap();
        node.follow(file.path(), &variables).unwrap();
        lines.say("ping").await.unwrap();
        assert_eq!(lines.hear().await.unwrap().as_deref(), Some("pong"));
        assert_eq!(stranger(address, &own.public_key(), &before).await, Err(PeerFault::Refused));
        assert_eq!(stranger(address, &own.public_key(), &after).await, Ok(0));
        serving.abort();
    }

    #[tokio::test]
    async fn who_says_it_is_another_player_than_its_key_stands_for_is_let_go() {
        let [own, peer] = [(); 2].map(|()| P2pPrivateKey::make(Curve::P256).unwrap());
        // EXPOSE: to the node of this test.
        let key = own.expose_sec1_base64();
        let variables = move |_: &str| Some(OsString::from(key.as_str()));
        let node = Node::new(Config::parse(&config(&peer), &variables).unwrap()).unwrap();
        let listener = listening::listen(Ipv4Addr::LOCALHOST, 0).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener, Arc::new(node)));
        let certified = tls::certified(&peer).unwrap();
        let address = &PeerAddress::new("127.0.0.1", address.port()).unwrap();
        assert_eq!(ping(1, &certified, address, &own.public_key()).await, Ok(0));
        let outcome = ping(2, &certified, address, &own.public_key()).await;
        assert!(matches!(outcome, Err(PeerFault::Broken(_))), "{outcome:?}");
        serving.abort();
    }
}
