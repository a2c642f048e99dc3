//! A way to a server that can be cut: connections end, and none are made, while others reach the server.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A listener that passes everything on. It ends with its owner.
pub(super) struct Relay {
    address: SocketAddr,
    cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Relay {
    pub(super) async fn new(to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, is_cut) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                while connections.try_join_next().is_some() {}
                connections.spawn(pass(stream, to, is_cut.clone()));
            }
        });
        Self { address, cut, task }
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Ends all connections, and lets none through.
    pub(super) fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Lets connections through again.
    pub(super) fn mend(&self) {
        self.cut.send_replace(false);
    }

    /// Ends all connections; new ones are let through.
    pub(super) async fn interrupt(&self) {
        self.cut();
        // Every connection sees it before it is undone.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        self.mend();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut from: TcpStream, to: u16, mut is_cut: watch::Receiver<bool>) {
    if *is_cut.borrow_and_update() {
        return;
    }
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else {
        return;
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut from, &mut server) => {}
        _ = is_cut.changed() => {}
    }
}
