//! Who an end of a connection is.

use super::ear::Who;
use crate::base::ReplicaId;
use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fmt;
use std::sync::Arc;
use webpki::EndEntityCert;

/// What a replica shows to others, and by whose word it believes them. All of it PEM.
#[derive(Clone)]
pub struct Credentials {
    /// The certificates of the authorities that sign those of all replicas of this cluster, and of
    /// nobody who is not to be heard. More than one while an authority is replaced by another.
    pub authority: String,
    /// The certificate of this replica, for the name [`name_of`] gives, and whatever lies between
    /// it and the authority.
    pub certificate: String,
    /// Its private key. It is in no log and no message.
    pub key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// Why credentials are of no use. It says nothing of what is in them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// One of the three is not PEM, or is empty.
    #[error("there is no {0} in what should have one, as PEM")]
    Pem(&'static str),
    /// They do not fit together, or TLS cannot use them.
    #[error("TLS cannot use them: {0}")]
    Tls(String),
    /// The certificate is somebody else's.
    #[error("the certificate is not for {name} alone", name = name_of(*.0))]
    NotOwn(ReplicaId),
}

fn tls(error: impl fmt::Display) -> CredentialsError {
    CredentialsError::Tls(error.to_string())
}

/// Credentials as TLS takes them, for what is spoken on top of it. No session is resumed: whoever
/// connects shows its certificate each time, and one that has run out is of no use.
pub(super) struct Keys {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
}

impl Credentials {
    /// Of replica `id`, for connections that speak one of `protocols`, the best first.
    pub(super) fn keys(
        &self,
        id: ReplicaId,
        protocols: &[&[u8]],
    ) -> Result<Keys, CredentialsError> {
        let chain = certificates(&self.certificate, "certificate")?;
        if chain.first().and_then(replica_of) != Some(id) {
            return Err(CredentialsError::NotOwn(id));
        }
        let (provider, roots) = (Arc::new(default_provider()), self.roots()?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls)?
            .with_client_cert_verifier(verifier.build().map_err(tls)?);
        let mut server = server.with_single_cert(chain, self.private_key()?).map_err(tls)?;
        server.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let client = Arc::new(self.client(protocols)?);
        Ok(Keys { server: Arc::new(server), client })
    }

    /// For calling, whoever these credentials are for. Whom it reaches is checked by name.
    pub(super) fn client(&self, protocols: &[&[u8]]) -> Result<ClientConfig, CredentialsError> {
        let mut client = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls)?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(
                certificates(&self.certificate, "certificate")?,
                self.private_key()?,
            )
            .map_err(tls)?;
        client.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        client.resumption = Resumption::disabled();
        Ok(client)
    }

    fn roots(&self) -> Result<Arc<RootCertStore>, CredentialsError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&self.authority, "authority")? {
            roots.add(authority).map_err(tls)?;
        }
        Ok(Arc::new(roots))
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, CredentialsError> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes());
        key.map_err(|_| CredentialsError::Pem("key"))
    }
}

/// At least one.
fn certificates(
    pem: &str,
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let all = all.unwrap_or_default();
    if all.is_empty() { Err(CredentialsError::Pem(what)) } else { Ok(all) }
}

/// The name that the certificate of a replica has to be for, as a subject alternative name.
pub fn name_of(id: ReplicaId) -> String {
    format!("replica-{}.traft", id.0)
}

/// The name that the certificate of a client has to be for: clients are told apart by nothing else,
/// and whoever wants to know more of them asks for a token ([`Admit`](super::Admit)).
pub const CLIENT_NAME: &str = "client.traft";

/// The same as TLS asks for it.
pub(super) fn server_name(id: ReplicaId) -> Option<ServerName<'static>> {
    ServerName::try_from(name_of(id)).ok()
}

/// Whose certificate it is. That an authority signed it was checked before. One that names two
/// replicas, or all of them with an asterisk, names none.
pub(super) fn replica_of(certificate: &CertificateDer<'_>) -> Option<ReplicaId> {
    let end = EndEntityCert::try_from(certificate).ok()?;
    let mut named = end.valid_dns_names().filter_map(|name| {
        let id = name.strip_prefix("replica-")?.strip_suffix(".traft")?.parse();
        id.ok().map(ReplicaId)
    });
    let (id, second) = (named.next()?, named.next());
    let name = server_name(id)?;
    let valid = second.is_none() && end.verify_is_valid_for_subject_name(&name).is_ok();
    valid.then_some(id)
}

/// Who shows this certificate. One that names a client and anything else names nobody.
pub(super) fn who(certificate: Option<&CertificateDer<'_>>) -> Who {
    if let Some(id) = certificate.and_then(replica_of) {
        return Who::Replica(id);
    }
    let end = certificate.and_then(|shown| EndEntityCert::try_from(shown).ok());
    let names = end.as_ref().map(|end| end.valid_dns_names().collect::<Vec<_>>());
    if names.is_some_and(|names| names == [CLIENT_NAME]) { Who::Client } else { Who::NoReplica }
}
