//! One conversation with the mail server, over TCP.

use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use vipward_core::mail::Settings;
use vipward_core::mail::queue::{Batch, Report};
use vipward_core::mail::smtp::{Conversation, LONGEST};

/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 8;

/// Delivers what can be delivered, and says what became of it.
pub async fn deliver(batch: Batch) -> Report {
    let settings = batch.settings.clone();
    let mut conversation = Conversation::new(batch);
    let why = match timeout(LONGEST, carry(&settings, &mut conversation)).await {
        Ok(ended) => ended.err(),
        Err(_) => Some(format!("it took longer than {} s", LONGEST.as_secs())),
    };
    let mut report = conversation.end(why);
    let (host, port) = &settings.server;
    report.error = report.error.map(|why| format!("mail server {host}, port {port}: {why}"));
    report
}

async fn carry(settings: &Settings, conversation: &mut Conversation) -> Result<(), String> {
    let mut stream = connect(settings).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let says = conversation.says();
        if !says.is_empty() {
            within(settings, stream.write_all(&says)).await?;
        }
        if conversation.is_over() {
            // It has answered all that matters; how it takes the end is its own affair.
            let _ = timeout(settings.timeout, stream.shutdown()).await;
            return Ok(());
        }
        let length = within(settings, stream.read(&mut buffer)).await?;
        if length == 0 {
            return Err("it closed the connection".to_owned());
        }
        conversation.heard(buffer.get(..length).unwrap_or_default());
    }
}

async fn connect(settings: &Settings) -> Result<TcpStream, String> {
    let (host, port) = &settings.server;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = timeout(settings.timeout, lookup_host((bare, *port))).await;
    let found: Vec<SocketAddr> = match found {
        Ok(Ok(found)) => found.take(MOST_ADDRESSES).collect(),
        Ok(Err(error)) => return Err(format!("its name is not known: {error}")),
        Err(_) => return Err(format!("its name was not found within {} s", settings.timeout.as_secs_f32())),
    };
    let mut why = "its name has no address".to_owned();
    for address in found {
        match within(settings, TcpStream::connect(address)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => why = error,
        }
    }
    Err(why)
}

async fn within<T>(settings: &Settings, io: impl Future<Output = io::Result<T>>) -> Result<T, String> {
    match timeout(settings.timeout, io).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err(format!("it did not answer within {} s", settings.timeout.as_secs_f32())),
    }
}
