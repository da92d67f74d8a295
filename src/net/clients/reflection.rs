//! The reflection protocol of gRPC: which services there are, and what they say, for tools that
//! have no schema.

use super::known;
use crate::net::NetError;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status};
use tonic_reflection::server::Builder;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};

/// The schemas of all services on this port, as bytes: `tests/proto.rs` makes them.
const DESCRIPTORS: &[u8] = include_bytes!("descriptors.bin");

/// Whether whoever asks is let in.
type Asks = fn(Request<()>) -> Result<Request<()>, Status>;

fn ask(request: Request<()>) -> Result<Request<()>, Status> {
    known(&request)?;
    Ok(request)
}

/// The service.
pub(in crate::net) fn reflection()
-> Result<InterceptedService<ServerReflectionServer<impl ServerReflection>, Asks>, NetError> {
    let builder = Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
    // What is compiled in is whole: a test makes it.
    let service = builder.build_v1().map_err(std::io::Error::other)?;
    Ok(InterceptedService::new(service, ask as Asks))
}
