//! Replies and requests as bytes, for stores that keep them outside this process.
//!
//! A record begins with the number of its version, and each release reads the records of those before it. What follows
//! the head, the packed fields and the body, is copied as it is.

use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    Ending, Reply, StoredRequest,
    reply::{pack, packed_size, unpack},
};

/// What is kept is not a record that this release can read.
#[derive(Debug, thiserror::Error)]
#[error("not a record that this release can read")]
pub struct RecordError {
    #[source]
    source: Option<postcard::Error>,
}

impl From<postcard::Error> for RecordError {
    fn from(error: postcard::Error) -> Self {
        Self { source: Some(error) }
    }
}

const MALFORMED: RecordError = RecordError { source: None };

/// The versions of a reply's head.
#[derive(Deserialize, Serialize)]
enum ReplyHead {
    V1 { ending: Ending, status: Option<u16>, fields: u16, headers: u32, trailers: u32 },
}

/// The versions of a request's head.
#[derive(Deserialize, Serialize)]
enum RequestHead<'a> {
    V1 { method: &'a str, uri: &'a str, headers: u32 },
}

impl Reply {
    /// The reply as one record.
    #[must_use]
    pub fn to_record(&self) -> Vec<u8> {
        let status = self.status_or_none().map(|status| status.as_u16());
        let head = ReplyHead::V1 {
            ending: self.ending(),
            status,
            fields: self.fields,
            headers: self.headers,
            trailers: self.trailers,
        };
        write(&head, self.packed.len(), |record| record.extend_from_slice(&self.packed))
    }

    /// The reply that was written as this record.
    ///
    /// # Errors
    ///
    /// Says so where it is none.
    pub fn from_record(record: &[u8]) -> Result<Self, RecordError> {
        let (ReplyHead::V1 { ending, status, fields, headers, trailers }, packed) = read(record)?;
        let status = status.map(StatusCode::from_u16).transpose().map_err(|_| MALFORMED)?;
        let around = usize::try_from(u64::from(headers) + u64::from(trailers)).map_err(|_| MALFORMED)?;
        match around <= packed.len() {
            true => Ok(Self { ending, status, fields, headers, trailers, packed: packed.into() }),
            false => Err(MALFORMED),
        }
    }
}

impl StoredRequest {
    /// The request as one record. `None` where its headers are absurdly large.
    #[must_use]
    pub fn to_record(&self) -> Option<Vec<u8>> {
        let headers = packed_size(&self.headers);
        let uri = self.uri.to_string();
        let head = RequestHead::V1 { method: self.method.as_str(), uri: &uri, headers: u32::try_from(headers).ok()? };
        let mut packed = Some(());
        let record = write(&head, headers + self.body.len(), |record| {
            packed = pack(&self.headers, record);
            record.extend_from_slice(&self.body);
        });
        packed.map(|()| record)
    }

    /// The request that was written as this record.
    ///
    /// # Errors
    ///
    /// Says so where it is none.
    pub fn from_record(record: &[u8]) -> Result<Self, RecordError> {
        let (RequestHead::V1 { method, uri, headers }, rest) = read_borrowed(record)?;
        let (headers, body) = rest.split_at_checked(headers as usize).ok_or(MALFORMED)?;
        Ok(Self {
            method: Method::from_bytes(method.as_bytes()).map_err(|_| MALFORMED)?,
            uri: Uri::try_from(uri).map_err(|_| MALFORMED)?,
            headers: unpack(Bytes::copy_from_slice(headers), 0),
            body: Bytes::copy_from_slice(body),
        })
    }
}

/// Begins a record with its head.
pub(crate) fn write(head: &impl Serialize, more: usize, rest: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut record = Vec::with_capacity(more + 64);
    // Nothing of what is written can fail: there is no length that is not known.
    if let Ok(head) = postcard::to_extend(head, Vec::new()) {
        record.extend_from_slice(&head);
    }
    rest(&mut record);
    record
}

/// The head of a record, and what follows it.
pub(crate) fn read<T: DeserializeOwned>(record: &[u8]) -> Result<(T, &[u8]), RecordError> {
    read_borrowed(record)
}

fn read_borrowed<'a, T: Deserialize<'a>>(record: &'a [u8]) -> Result<(T, &'a [u8]), RecordError> {
    Ok(postcard::take_from_bytes(record)?)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;
    use crate::operation::{Failure, ReplyBuilder};

    fn headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.append("x-twice", HeaderValue::from_static("one"));
        headers.append("x-twice", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        let mut sensitive = HeaderValue::from_static("hidden");
        sensitive.set_sensitive(true);
        headers.append("x-sensitive", sensitive);
        headers
    }

    fn reply() -> Reply {
        let mut reply = ReplyBuilder::new(Ending::Replied, StatusCode::CREATED, &headers(), 0).unwrap();
        reply.extend(&b"\0body\xff"[..]);
        reply.build(Some(&headers())).unwrap()
    }

    fn request() -> StoredRequest {
        let uri = Uri::from_static("/renders/4?size=9");
        StoredRequest::new(Method::POST, uri, headers(), Bytes::from_static(b"\0body\xff"))
    }

    #[test]
    fn replies_come_out_of_their_records_again() {
        for reply in [reply(), Reply::none(Ending::Canceled), Reply::none(Ending::Failed(Failure::Lost))] {
            assert_eq!(Reply::from_record(&reply.to_record()).unwrap(), reply);
        }
    }

    #[test]
    fn requests_come_out_of_their_records_again() {
        assert_eq!(StoredRequest::from_record(&request().to_record().unwrap()).unwrap(), request());
    }

    /// The records of version 1, as the first release wrote them.
    #[test]
    fn the_first_releases_records_are_read() {
        let reply = include_bytes!("record/reply.v1");
        let request = include_bytes!("record/request.v1");
        assert_eq!(Reply::from_record(reply).unwrap(), self::reply());
        assert_eq!(StoredRequest::from_record(request).unwrap(), self::request());
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        let (reply, request) = (reply().to_record(), request().to_record().unwrap());
        for length in 0..4 {
            Reply::from_record(&reply[..length]).unwrap_err();
            StoredRequest::from_record(&request[..length]).unwrap_err();
        }
        Reply::from_record(&[&[9], &reply[1..]].concat()).unwrap_err();
        StoredRequest::from_record(&[&[9], &request[1..]].concat()).unwrap_err();
    }
}
