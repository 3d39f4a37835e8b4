//! An object as a stream. One that breaks off goes on where it was.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, try_unfold};

use super::client::{Client, Tries};
use super::error::{Fault, S3Error};
use crate::outbound::Incoming;

const DOING: &str = "downloading";

/// An object that is read.
#[derive(Debug)]
pub(super) struct Reader {
    client: Arc<Client>,
    key: String,
    size: u64,
    at: u64,
    incoming: Incoming,
}

impl Reader {
    /// Begins to read an object, which must have that size.
    pub(super) async fn open(client: Arc<Client>, key: String, size: u64) -> Result<Self, S3Error> {
        let incoming = connect(&client, &key, (0, size)).await?;
        Ok(Self { client, key, size, at: 0, incoming })
    }

    /// The bytes, exactly as many as were said.
    pub(super) fn into_stream(self) -> BoxStream<'static, Result<Bytes, S3Error>> {
        try_unfold(self, async |mut reader| Ok(reader.next().await?.map(|bytes| (bytes, reader)))).boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        let mut tries = Tries::new(self.client.pace);
        while self.at < self.size {
            let fault = match self.incoming.next().await {
                Ok(Some(bytes)) => {
                    self.at += bytes.len() as u64;
                    return Ok(Some(bytes));
                }
                Ok(None) => Fault::Length { expected: self.size, found: self.at },
                Err(error) => error.into(),
            };
            if !tries.again(&fault).await {
                return Err(self.client.error(DOING, fault));
            }
            self.incoming = connect(&self.client, &self.key, (self.at, self.size)).await?;
        }
        Ok(None)
    }
}

async fn connect(client: &Client, key: &str, (from, size): (u64, u64)) -> Result<Incoming, S3Error> {
    let mut tries = Tries::new(client.pace);
    loop {
        let fault = match client.read(key, from).await {
            Ok(incoming) => match incoming.length {
                Some(length) if length == size - from => return Ok(incoming),
                Some(length) => Fault::Length { expected: size, found: from + length },
                None => Fault::Nonsense("an object without a length"),
            },
            Err(fault) => fault,
        };
        if !tries.again(&fault).await {
            return Err(client.error(DOING, fault));
        }
    }
}
