//! Certificates for the replicas of a cluster: an authority of its own, and what it has signed.
//!
//! ```text
//!   DIR/authority.pem   its certificate, which every replica has        DIR/authority.key  its key
//!   DIR/3/authority.pem, certificate.pem, key.pem                       what replica 3 needs
//! ```

use crate::base::ReplicaId;
use crate::net::{Credentials, name_of};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// A file.
    #[error("{}: {error}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Keys and certificates could not be made, or the key of the authority is none.
    #[error("certificates: {0}")]
    Made(#[from] rcgen::Error),
    /// There is a certificate of an authority and no key, or the other way round.
    #[error("{} has one of authority.pem and authority.key: both are needed to sign", .0.display())]
    Half(PathBuf),
}

/// What a replica finds in its directory.
const NAMES: [&str; 3] = ["authority.pem", "certificate.pem", "key.pem"];

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, CertError> {
    result.map_err(|error| CertError::Io { path: path.into(), error })
}

/// What is to be read by its owner alone.
fn write(path: &Path, text: &str) -> Result<(), CertError> {
    let create = || {
        let options = OpenOptions::new().write(true).create_new(true).mode(0o600).clone();
        let mut file = options.open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    at(path, create())
}

fn read(path: &Path) -> Result<Option<String>, CertError> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        text => at(path, text).map(Some),
    }
}

/// The same for a key that is there as for one that was just made: a certificate that is signed
/// names the authority and its key, and nothing else of it.
fn authority(key: KeyPair) -> Result<(String, Issuer<'static, KeyPair>), CertError> {
    let mut params = CertificateParams::new([])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.distinguished_name.push(DnType::CommonName, "traft replicas");
    let pem = params.self_signed(&key)?.pem();
    Ok((pem, Issuer::new(params, key)))
}

/// Makes what is missing in `dir` of an authority and of the certificates of these replicas; gives
/// those that were made. What is there is left alone, so more replicas can be added later.
///
/// Only the directories of the replicas go to their machines. Whoever has `authority.key` can speak
/// as any replica: keep it away from all of them.
///
/// # Errors
///
/// [`CertError`]. A replica whose directory was begun and not finished is made again.
pub fn make(
    dir: &Path,
    replicas: impl IntoIterator<Item = ReplicaId>,
) -> Result<Vec<ReplicaId>, CertError> {
    at(dir, fs::create_dir_all(dir))?;
    let (certificate, key) = (dir.join("authority.pem"), dir.join("authority.key"));
    let (pem, issuer) = match (read(&certificate)?, read(&key)?) {
        (Some(pem), Some(key)) => (pem, authority(KeyPair::from_pem(&key)?)?.1),
        (None, None) => {
            let made = KeyPair::generate()?;
            let secret = made.serialize_pem();
            let (pem, issuer) = authority(made)?;
            write(&key, &secret)?;
            write(&certificate, &pem)?;
            (pem, issuer)
        }
        _ => return Err(CertError::Half(dir.into())),
    };
    let mut made = Vec::new();
    for id in replicas {
        let own = dir.join(id.0.to_string());
        if own.exists() {
            continue;
        }
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([name_of(id)])?;
        params.distinguished_name.push(DnType::CommonName, name_of(id));
        let signed = params.signed_by(&key, &issuer)?.pem();
        // It gets its name when it is whole.
        let aside = dir.join(format!("{}.aside", id.0));
        match fs::remove_dir_all(&aside) {
            Err(error) if error.kind() != ErrorKind::NotFound => at(&aside, Err(error))?,
            _ => {}
        }
        at(&aside, fs::create_dir(&aside))?;
        for (name, text) in NAMES.iter().zip([&pem, &signed, &key.serialize_pem()]) {
            write(&aside.join(name), text)?;
        }
        at(&own, fs::rename(&aside, &own))?;
        made.push(id);
    }
    Ok(made)
}

/// What [`make`] left in the directory of a replica.
///
/// # Errors
///
/// [`CertError::Io`].
pub fn load(dir: &Path) -> Result<Credentials, CertError> {
    let file = |name: &str| {
        let path = dir.join(name);
        at(&path, fs::read_to_string(&path))
    };
    let [authority, certificate, key] = NAMES;
    Ok(Credentials {
        authority: file(authority)?,
        certificate: file(certificate)?,
        key: file(key)?,
    })
}
