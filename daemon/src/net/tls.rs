//! TLS of checkers (`SSL_GET`), by rustls: TLS 1.2 (RFC 5246) and 1.3 (RFC 8446), and no older ones.
//!
//! Who the server is, nobody verifies, as in keepalived: the check asks whether clients get an answer, and real servers have
//! certificates for names that no checker knows. So what is checked is no secret to whoever stands between the two, and may
//! be answered by them. Nothing is sent but the request that the configuration names.

use crate::system::shortage::Ours;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, Error, PeerIncompatible, SignatureScheme};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use vipward_core::check::Shortage;
use vipward_core::check::ssl::{Material, Tls};

/// What connections are made with, once for each set of files. A reload reads them again.
#[derive(Default)]
pub struct Clients(RefCell<BTreeMap<Material, Arc<ClientConfig>>>);

impl Clients {
    /// The files may have changed.
    pub fn forget(&self) {
        self.0.borrow_mut().clear();
    }

    /// Begins TLS, however long that takes. Must be called inside a runtime.
    ///
    /// # Errors
    /// The reason in words, or [`Ours`] where the files of `SSL` are of no use.
    pub async fn secure(&self, stream: TcpStream, tls: &Tls) -> io::Result<Secure> {
        let config = self.config(&tls.material).await?;
        let named = tls.name.as_ref().and_then(|name| ServerName::try_from(name.clone()).ok());
        // The name of an address is not sent.
        let name = named.unwrap_or_else(|| ServerName::from(IpAddr::from(Ipv4Addr::UNSPECIFIED)));
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|error| in_words(&error))?;
        Ok(Secure { stream, compliant: tls.compliant })
    }

    async fn config(&self, material: &Material) -> io::Result<Arc<ClientConfig>> {
        if let Some(known) = self.0.borrow().get(material) {
            return Ok(known.clone());
        }
        let its = material.clone();
        // A file may lie on a server that does not answer.
        let made = tokio::task::spawn_blocking(move || config(&its)).await.map_err(io::Error::other)?;
        let config = Arc::new(made.map_err(|why| {
            tracing::error!("SSL_GET is not asked: {why}");
            io::Error::other(Ours(Shortage::Certificate))
        })?);
        self.0.borrow_mut().insert(material.clone(), config.clone());
        Ok(config)
    }
}

fn config(material: &Material) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let anybody = Arc::new(Anybody(provider.clone()));
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| error.to_string())?.dangerous().with_custom_certificate_verifier(anybody);
    let mut config = match (&material.certificate, &material.key) {
        (Some(certificate), Some(key)) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
            let chain = chain.map_err(|error| format!("certificate {certificate}: {error}"))?;
            let private = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("key {key}: {error}"))?;
            let builder = builder.with_client_auth_cert(chain, private);
            builder.map_err(|error| format!("certificate {certificate} with key {key}: {error}"))?
        }
        // Of the two one alone is an error of the configuration.
        (Some(_) | None, _) => builder.with_no_client_auth(),
    };
    // Each attempt asks for all that a new client needs.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Takes every certificate.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    /// That needs a certificate which can be read, and what it would prove nobody asked.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    /// Also old ones: none is verified.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.0.signature_verification_algorithms.supported_schemes();
        schemes.extend([SignatureScheme::RSA_PKCS1_SHA1, SignatureScheme::ECDSA_SHA1_Legacy]);
        schemes
    }
}

/// Why there is no TLS, in words that say what to look at.
fn in_words(error: &io::Error) -> io::Error {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let words = match of_tls {
        None if error.kind() == ErrorKind::UnexpectedEof => "the server ended the connection during the handshake".to_owned(),
        // With its number: it may be a shortage of ours.
        None => return io::Error::new(error.kind(), error.to_string()),
        Some(
            Error::AlertReceived(AlertDescription::ProtocolVersion)
            | Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ),
        ) => "the server speaks neither TLS 1.2 nor 1.3".to_owned(),
        Some(Error::AlertReceived(AlertDescription::HandshakeFailure)) => {
            "the server wants something else (alert handshake_failure): a cipher suite without forward secrecy, a client \
             certificate, or an older TLS"
                .to_owned()
        }
        Some(Error::AlertReceived(AlertDescription::UnrecognisedName)) => {
            "the server does not know the name (alert unrecognized_name): see enable_sni and sni_name".to_owned()
        }
        Some(Error::InvalidMessage(_)) => "what the server answers is not TLS".to_owned(),
        Some(other) => other.to_string(),
    };
    io::Error::other(words)
}

/// A connection under TLS.
pub struct Secure {
    stream: TlsStream<TcpStream>,
    compliant: bool,
}

impl AsyncRead for Secure {
    /// Many servers close without a word of TLS; keepalived takes that for the end, and hyper knows whether a body is whole.
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(context, into) {
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            other => other,
        }
    }
}

impl AsyncWrite for Secure {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// `tls_compliant`. Nothing waits for the other side.
impl Drop for Secure {
    fn drop(&mut self) {
        if self.compliant {
            let (stream, connection) = self.stream.get_mut();
            connection.send_close_notify();
            // One that does not take it now does not hear it.
            let _ = connection.write_tls(&mut AtOnce(stream));
        }
    }
}

/// Writes what there is room for.
struct AtOnce<'s>(&'s TcpStream);

impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
