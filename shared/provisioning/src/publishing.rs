//! Signing and publishing documents, and signing labels.

use crate::audit::{Action, AuditEvent};
use crate::authority::Permit;
use crate::error::ProvisionError;
use crate::names::{ParameterName, SecretName};
use crate::operation::Operation;
use crate::ownership::Generation;
use crate::ports::{AuditLog, PortError, RecordSigner, World};
use crate::signed::{CanonicalText, Document, DocumentError};
use crate::version_label::SignedLabel;

/// Signs a document and gives the text that is stored.
pub(crate) async fn sign<D: Document>(
    world: &impl RecordSigner,
    permit: &Permit,
    name: &ParameterName,
    document: &D,
) -> Result<String, ProvisionError> {
    let refused = |error| refused(name, error);
    let text = CanonicalText::of(document).map_err(refused)?;
    // The longest signature is 72 bytes; what would not fit is refused before it is signed.
    text.signed(&[0; 72], world.signer()).map_err(refused)?;
    let signature = world.sign_digest(permit, text.digest()).await?;
    text.signed(&signature, world.signer()).map_err(refused)
}

/// Signs what a label says of a version.
pub(crate) async fn sign_label(
    world: &impl RecordSigner,
    permit: &Permit,
    secret: &SecretName,
    first: &Generation,
    version_id: &str,
    label: String,
) -> Result<SignedLabel, PortError> {
    let signature = world.sign_digest(permit, SignedLabel::digest(secret, first, version_id, &label)).await?;
    Ok(SignedLabel::new(label, &signature))
}

/// Writes a document, whether or not one stands there, and writes down that it did.
pub(crate) async fn publish(
    world: &impl World,
    permit: &Permit,
    operation: &Operation,
    name: &ParameterName,
    text: &str,
) -> Result<(), ProvisionError> {
    let tags = operation.owner.document_tags();
    match world.publish_new(permit, name, text, &tags, None).await {
        Err(PortError::Exists { .. }) => world.republish(permit, name, text, None).await?,
        other => other?,
    }
    note(world, operation, Action::Published, name.as_str());
    Ok(())
}

/// Writes down what was done to `subject`.
pub(crate) fn note(world: &impl AuditLog, operation: &Operation, action: Action, subject: &str) {
    world.record(&AuditEvent::new(action, &operation.owner.id, &operation.generation, subject));
}

/// A document that nothing can be built on.
pub(crate) fn refused(name: &ParameterName, error: DocumentError) -> ProvisionError {
    ProvisionError::Document { subject: name.to_string(), error }
}
