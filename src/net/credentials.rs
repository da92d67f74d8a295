//! Who an end of a connection is.

use crate::base::ReplicaId;
use rustls_pki_types::{CertificateDer, ServerName};
use std::fmt;
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig};
use webpki::EndEntityCert;

/// What a replica shows to others, and by whose word it believes them. All of it PEM.
#[derive(Clone)]
pub struct Credentials {
    /// The certificate of the authority that signs those of all replicas of this cluster, and of
    /// nobody who is not to be heard.
    pub authority: String,
    /// The certificate of this replica, for the name [`name_of`] gives.
    pub certificate: String,
    /// Its private key. It is in no log and no message.
    pub key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    pub(super) fn server(&self) -> ServerTlsConfig {
        let config = ServerTlsConfig::new().identity(self.identity());
        config.client_ca_root(Certificate::from_pem(&self.authority))
    }

    /// For calling `peer`, and nobody else.
    pub(super) fn client(&self, peer: ReplicaId) -> ClientTlsConfig {
        let config = ClientTlsConfig::new().identity(self.identity()).domain_name(name_of(peer));
        config.ca_certificate(Certificate::from_pem(&self.authority))
    }

    fn identity(&self) -> Identity {
        Identity::from_pem(&self.certificate, &self.key)
    }
}

/// The name that the certificate of a replica has to be for, as a subject alternative name.
pub fn name_of(id: ReplicaId) -> String {
    format!("replica-{}.traft", id.0)
}

/// Whether this is a certificate of `id`. That an authority signed it was checked before.
pub(super) fn is_of(certificate: &CertificateDer<'_>, id: ReplicaId) -> bool {
    let Ok(name) = ServerName::try_from(name_of(id)) else { return false };
    let end = EndEntityCert::try_from(certificate);
    end.is_ok_and(|end| end.verify_is_valid_for_subject_name(&name).is_ok())
}
