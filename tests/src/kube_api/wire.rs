//! A wire to the API server on which, below TLS, answers may stop in the middle: connections are taken, and after so
//! many bytes nothing more comes.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::KubeApi;
use super::fault_proxy::background;

/// A running wire.
#[derive(Debug)]
pub struct Wire {
    /// Where the operator finds the API server.
    pub url: String,
    state: Arc<State>,
    listener: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    /// How many bytes of the server's each connection gets.
    passes: watch::Sender<u64>,
    /// How many connections got them all and wait for more, since that was set.
    stalled: watch::Sender<usize>,
}

impl Wire {
    /// Starts one that lets everything through.
    pub fn start(api: &KubeApi) -> Self {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let url = format!("https://{}", socket.local_addr().unwrap());
        let state = Arc::new(State {
            passes: watch::Sender::new(u64::MAX),
            stalled: watch::Sender::new(0),
        });
        let (server, shared) = (("127.0.0.1", api.port), Arc::clone(&state));
        let listener = background().spawn(async move {
            let socket = TcpListener::from_std(socket).unwrap();
            while let Ok((client, _)) = socket.accept().await {
                let state = Arc::clone(&shared);
                tokio::spawn(async move {
                    // It ends as its ends like.
                    let _ = carry(client, server, &state).await;
                });
            }
        });
        Self {
            url,
            state,
            listener,
        }
    }

    /// Connections break, and of what the server says on a new one only so many bytes come.
    pub fn pass(&self, bytes: u64) {
        self.state.stalled.send_replace(0);
        self.state.passes.send_replace(bytes);
    }

    /// Connections break but for those that have stalled, and all that is said on new ones comes.
    pub fn open(&self) {
        self.pass(u64::MAX);
    }

    /// Waits until so many connections wait for bytes that do not come.
    pub async fn until_stalled(&self, connections: usize) {
        let mut stalled = self.state.stalled.subscribe();
        let enough = stalled.wait_for(|stalled| *stalled >= connections);
        let enough = tokio::time::timeout(super::PATIENCE, enough).await;
        enough
            .expect("nobody waits for an answer any more")
            .unwrap();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.listener.abort();
        self.open();
    }
}

/// Carries all that the client says, and so many bytes of the server's. Where another number is set before those
/// have come, it breaks; afterwards it never says anything more.
async fn carry(mut client: TcpStream, server: (&str, u16), state: &State) -> std::io::Result<()> {
    let mut changes = state.passes.subscribe();
    let passes = *changes.borrow_and_update();
    let mut server = TcpStream::connect(server).await?;
    let (mut asks, mut hears) = client.split();
    let (server_says, mut server_hears) = server.split();
    let mut limited = server_says.take(passes);
    let mut asking = std::pin::pin!(copy(&mut asks, &mut server_hears));
    tokio::select! {
        asked = &mut asking => return asked.map(drop),
        answered = copy(&mut limited, &mut hears) => answered?,
        _ = changes.changed() => return Ok(()),
    };
    if limited.limit() == 0 {
        state.stalled.send_modify(|stalled| *stalled += 1);
        // For as long as whoever waits has patience.
        asking.await?;
    }
    Ok(())
}
