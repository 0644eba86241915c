//! The methods of an application's gRPC services, as its descriptor sets tell of them.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::Arc,
};

use prost::{DecodeError, Message};
use prost_types::{FileDescriptorSet, MethodDescriptorProto};

/// The methods of an application's gRPC services: which of them are unary, and the type of their replies.
///
/// Learnt from the descriptor sets that an application embeds for reflection:
///
/// ```
/// use tower_respond_async::longrunning::{FILE_DESCRIPTOR_SET, Methods};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let methods = Methods::builder().descriptor_set(FILE_DESCRIPTOR_SET).build()?;
/// # Ok(())
/// # }
/// ```
///
/// By default there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Methods {
    by_path: HashMap<Box<str>, Method>,
}

/// What is known of a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// One message in, and one of this type out.
    Unary { response_type: Arc<str> },
    /// Either side is a stream.
    Streaming,
}

impl Methods {
    /// Begins with none.
    pub fn builder() -> MethodsBuilder {
        MethodsBuilder::default()
    }

    /// All methods and their paths, such as `/studio.v1.Studio/Render`, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Method)> {
        self.by_path.iter().map(|(path, method)| (&**path, method))
    }
}

/// Collects descriptor sets; from [`Methods::builder`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct MethodsBuilder {
    methods: Methods,
    sets: usize,
    faults: Vec<Fault>,
}

impl MethodsBuilder {
    /// Adds the methods of all services in an encoded `google.protobuf.FileDescriptorSet`. A method may be in several
    /// sets.
    pub fn descriptor_set(mut self, encoded: impl AsRef<[u8]>) -> Self {
        let position = self.sets;
        self.sets += 1;
        match FileDescriptorSet::decode(encoded.as_ref()) {
            Ok(set) => self.add(&set),
            Err(error) => self.faults.push(Fault::Unreadable { position, error }),
        }
        self
    }

    /// What the sets say.
    ///
    /// # Errors
    ///
    /// Says all that is wrong: sets that cannot be read, methods whose reply has no type, and methods of which two sets
    /// say different things.
    pub fn build(self) -> Result<Methods, MethodsError> {
        if self.faults.is_empty() { Ok(self.methods) } else { Err(MethodsError(self.faults)) }
    }

    fn add(&mut self, set: &FileDescriptorSet) {
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    let dot = if file.package().is_empty() { "" } else { "." };
                    let path = format!("/{}{dot}{}/{}", file.package(), service.name(), method.name());
                    self.add_method(path, method);
                }
            }
        }
    }

    fn add_method(&mut self, path: String, described: &MethodDescriptorProto) {
        let Some(method) = Method::described(described) else {
            return self.faults.push(Fault::NoReply { path });
        };
        match self.methods.by_path.entry(path.into()) {
            Entry::Vacant(free) => drop(free.insert(method)),
            Entry::Occupied(known) if *known.get() == method => {}
            Entry::Occupied(known) => {
                let (path, first) = (known.key().to_string(), known.get().to_string());
                self.faults.push(Fault::Contradiction { path, first, second: method.to_string() });
            }
        }
    }
}

impl Method {
    /// `None` where the reply has no type of a full name.
    fn described(method: &MethodDescriptorProto) -> Option<Self> {
        if method.client_streaming() || method.server_streaming() {
            return Some(Self::Streaming);
        }
        let response_type = method.output_type().strip_prefix('.').filter(|name| !name.is_empty())?;
        Some(Self::Unary { response_type: response_type.into() })
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unary { response_type } => write!(formatter, "replies with {response_type}"),
            Self::Streaming => formatter.write_str("is a stream"),
        }
    }
}

/// The descriptor sets are wrong; tells everything that is, one per line.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct MethodsError(Vec<Fault>);

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
enum Fault {
    #[error("descriptor set {position}, counted from 0, cannot be read: {error}")]
    Unreadable { position: usize, error: DecodeError },
    #[error("{path}: the type of its reply has no full name")]
    NoReply { path: String },
    #[error("{path}: in one descriptor set it {first}, in another it {second}")]
    Contradiction { path: String, first: String, second: String },
}

#[cfg(test)]
mod tests {
    use prost_types::{FileDescriptorProto, ServiceDescriptorProto};

    use super::*;
    use crate::longrunning::FILE_DESCRIPTOR_SET;

    fn method(name: &str, output: &str, streams: (bool, bool)) -> MethodDescriptorProto {
        MethodDescriptorProto {
            name: Some(name.into()),
            output_type: Some(output.into()),
            client_streaming: Some(streams.0),
            server_streaming: Some(streams.1),
            ..MethodDescriptorProto::default()
        }
    }

    fn set(package: &str, method: Vec<MethodDescriptorProto>) -> Vec<u8> {
        let service = vec![ServiceDescriptorProto { name: Some("Studio".into()), method, options: None }];
        let package = Some(package.into());
        let file = vec![FileDescriptorProto { package, service, ..FileDescriptorProto::default() }];
        FileDescriptorSet { file }.encode_to_vec()
    }

    fn unary(response_type: &str) -> Method {
        Method::Unary { response_type: response_type.into() }
    }

    #[test]
    fn unary_methods_are_told_from_streams() {
        let methods = vec![
            method("Render", ".studio.v1.Picture", (false, false)),
            method("Upload", ".studio.v1.Picture", (true, false)),
            method("Watch", ".studio.v1.Picture", (false, true)),
            method("Talk", ".studio.v1.Picture", (true, true)),
        ];
        let methods = Methods::builder().descriptor_set(set("studio.v1", methods)).build().unwrap();
        assert_eq!(methods.by_path.get("/studio.v1.Studio/Render"), Some(&unary("studio.v1.Picture")));
        for stream in ["Upload", "Watch", "Talk"] {
            assert_eq!(methods.by_path.get(&*format!("/studio.v1.Studio/{stream}")), Some(&Method::Streaming));
        }
        assert_eq!(methods.by_path.get("/studio.v1.Studio/Paint"), None);
        assert_eq!(methods.iter().count(), 4);
    }

    #[test]
    fn a_service_may_have_no_package() {
        let bare = set("", vec![method("Render", ".Picture", (false, false))]);
        let methods = Methods::builder().descriptor_set(bare).build().unwrap();
        assert_eq!(methods.by_path.get("/Studio/Render"), Some(&unary("Picture")));
    }

    #[test]
    fn the_embedded_set_tells_of_the_operations_service() {
        let methods = Methods::builder().descriptor_set(FILE_DESCRIPTOR_SET).descriptor_set(FILE_DESCRIPTOR_SET);
        let methods = methods.build().unwrap();
        let get = methods.by_path.get("/google.longrunning.Operations/GetOperation");
        assert_eq!(get, Some(&unary("google.longrunning.Operation")));
        let delete = methods.by_path.get("/google.longrunning.Operations/DeleteOperation");
        assert_eq!(delete, Some(&unary("google.protobuf.Empty")));
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let error = Methods::builder()
            .descriptor_set([0xff])
            .descriptor_set(set("a", vec![method("Draw", ".a.Picture", (false, false))]))
            .descriptor_set(set(
                "a",
                vec![method("Draw", ".a.Film", (false, false)), method("Cut", "Film", (false, false))],
            ))
            .descriptor_set(set("a", vec![method("Draw", ".a.Picture", (false, true))]))
            .build()
            .unwrap_err();
        let expected = "\
descriptor set 0, counted from 0, cannot be read: failed to decode Protobuf message: invalid varint
/a.Studio/Draw: in one descriptor set it replies with a.Picture, in another it replies with a.Film
/a.Studio/Cut: the type of its reply has no full name
/a.Studio/Draw: in one descriptor set it replies with a.Picture, in another it is a stream";
        assert_eq!(error.to_string(), expected);
    }
}
