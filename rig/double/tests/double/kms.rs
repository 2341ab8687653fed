//! KMS: encrypting, signing, pairs, states, policies.

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeyPairSpec, DataKeySpec, MessageType, SigningAlgorithmSpec};
use contract_double::{Double, KeySpec, KeyState, NewKey};

use crate::support::{
    ACCOUNT, OTHER, allow, code, key, message, open_key_policy, place, policy, role, root, symmetric_key,
};

#[tokio::test]
async fn what_is_encrypted_is_decrypted_under_its_context_alone() {
    let double = Double::start().await.unwrap();
    let (kms, key) = (root(&double).kms(), symmetric_key(&double));
    let sealed = kms.encrypt().key_id(&key).plaintext(Blob::new("plain")).encryption_context("a", "1");
    let sealed = sealed.send().await.unwrap().ciphertext_blob.unwrap();
    let open = || kms.decrypt().ciphertext_blob(sealed.clone());
    let opened = open().encryption_context("a", "1").send().await.unwrap();
    assert_eq!((opened.plaintext().unwrap().as_ref(), opened.key_id()), (&b"plain"[..], Some(key.as_str())));
    for call in [
        open(),
        open().encryption_context("a", "2"),
        open().encryption_context("A", "1"),
        open().encryption_context("a", "1").encryption_context("b", "2"),
    ] {
        assert_eq!(code(call.send().await), "InvalidCiphertextException");
    }
    // One bit of it changed is no ciphertext.
    let mut changed = sealed.into_inner();
    changed[7] ^= 1;
    let changed = kms.decrypt().ciphertext_blob(Blob::new(changed)).encryption_context("a", "1").send().await;
    assert_eq!(code(changed), "InvalidCiphertextException");
}

#[tokio::test]
async fn a_key_that_is_named_has_to_be_the_right_one() {
    let double = Double::start().await.unwrap();
    let (kms, right, wrong) = (root(&double).kms(), symmetric_key(&double), symmetric_key(&double));
    let sealed =
        kms.encrypt().key_id(&right).plaintext(Blob::new("p")).send().await.unwrap().ciphertext_blob.unwrap();
    let open = |key: &str| kms.decrypt().ciphertext_blob(sealed.clone()).key_id(key).send();
    open(&right).await.unwrap();
    assert_eq!(code(open(&wrong).await), "IncorrectKeyException");
}

#[tokio::test]
async fn a_plaintext_has_up_to_4096_bytes() {
    let double = Double::start().await.unwrap();
    let (kms, key) = (root(&double).kms(), symmetric_key(&double));
    let encrypt = |length: usize| kms.encrypt().key_id(&key).plaintext(Blob::new(vec![7; length])).send();
    encrypt(1).await.unwrap();
    encrypt(4096).await.unwrap();
    assert_eq!(code(encrypt(4097).await), "ValidationException");
    assert_eq!(code(encrypt(0).await), "ValidationException");
}

#[tokio::test]
async fn a_key_is_named_by_id_arn_and_alias() {
    let double = Double::start().await.unwrap();
    let (kms, key) = (root(&double).kms(), symmetric_key(&double));
    double.with(|world| world.create_alias(&place(), "alias/mine", &key));
    let id = key.rsplit('/').next().unwrap();
    for name in [id, &key, "alias/mine", "arn:aws:kms:us-east-1:111122223333:alias/mine"] {
        let answer = kms.encrypt().key_id(name).plaintext(Blob::new("p")).send().await.unwrap();
        assert_eq!(answer.key_id(), Some(key.as_str()), "{name}");
    }
    let unknown = kms.encrypt().key_id("alias/other").plaintext(Blob::new("p")).send().await;
    assert_eq!(code(unknown), "NotFoundException");
}

#[tokio::test]
async fn a_data_key_comes_plain_and_sealed() {
    let double = Double::start().await.unwrap();
    let (kms, key) = (root(&double).kms(), symmetric_key(&double));
    let made = kms.generate_data_key().key_id(&key).key_spec(DataKeySpec::Aes256).send().await.unwrap();
    assert_eq!(made.plaintext().unwrap().as_ref().len(), 32);
    let opened = kms.decrypt().ciphertext_blob(made.ciphertext_blob.clone().unwrap()).send().await.unwrap();
    assert_eq!(opened.plaintext(), made.plaintext());
    let both = kms.generate_data_key().key_id(&key).key_spec(DataKeySpec::Aes256).number_of_bytes(7).send();
    assert_eq!(code(both.await), "ValidationException");
    assert_eq!(code(kms.generate_data_key().key_id(&key).send().await), "ValidationException");
}

#[tokio::test]
async fn a_signature_is_the_keys_and_nobody_elses() {
    let double = Double::start().await.unwrap();
    let kms = root(&double).kms();
    for (spec, algorithm, length) in [
        (KeySpec::EccNistP256, SigningAlgorithmSpec::EcdsaSha256, 32),
        (KeySpec::EccNistP384, SigningAlgorithmSpec::EcdsaSha384, 48),
        (KeySpec::EccSecgP256k1, SigningAlgorithmSpec::EcdsaSha256, 32),
    ] {
        let key = key(&double, spec);
        let sign = |kind: MessageType, message: Vec<u8>| {
            let call = kms.sign().key_id(&key).message_type(kind).message(Blob::new(message));
            call.signing_algorithm(algorithm.clone()).send()
        };
        let verify = |message: &str, signature: Blob| {
            let call = kms.verify().key_id(&key).message(Blob::new(message)).signature(signature);
            call.signing_algorithm(algorithm.clone()).send()
        };
        let signature = sign(MessageType::Raw, b"text".to_vec()).await.unwrap().signature.unwrap();
        assert!(verify("text", signature.clone()).await.unwrap().signature_valid());
        assert_eq!(code(verify("other", signature).await), "KMSInvalidSignatureException");
        sign(MessageType::Digest, vec![7; length]).await.unwrap();
        assert_eq!(code(sign(MessageType::Digest, vec![7; length + 1]).await), "ValidationException");
        assert_eq!(code(sign(MessageType::Raw, vec![7; 4097]).await), "ValidationException");
    }
}

#[tokio::test]
async fn a_digest_that_is_signed_verifies_under_the_public_half() {
    use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
    use p256::ecdsa::{Signature, VerifyingKey};
    use p256::pkcs8::DecodePublicKey as _;

    let double = Double::start().await.unwrap();
    let (kms, key) = (root(&double).kms(), key(&double, KeySpec::EccNistP256));
    let sign = kms.sign().key_id(&key).message_type(MessageType::Digest).message(Blob::new([7; 32]));
    let signed = sign.signing_algorithm(SigningAlgorithmSpec::EcdsaSha256).send().await.unwrap();
    let public = kms.get_public_key().key_id(&key).send().await.unwrap().public_key.unwrap();
    let public = VerifyingKey::from_public_key_der(public.as_ref()).unwrap();
    let signature = Signature::from_der(signed.signature().unwrap().as_ref()).unwrap();
    public.verify_prehash(&[7; 32], &signature).unwrap();
    assert!(public.verify_prehash(&[8; 32], &signature).is_err());
}

#[tokio::test]
async fn a_key_does_what_it_is_for() {
    let double = Double::start().await.unwrap();
    let kms = root(&double).kms();
    let (sealer, signer) = (symmetric_key(&double), key(&double, KeySpec::EccNistP256));
    let encrypt = kms.encrypt().key_id(&signer).plaintext(Blob::new("p")).send().await;
    assert_eq!(code(encrypt), "InvalidKeyUsageException");
    let sign = |key: &str, algorithm| {
        kms.sign().key_id(key).message(Blob::new("m")).signing_algorithm(algorithm).send()
    };
    assert_eq!(code(sign(&sealer, SigningAlgorithmSpec::EcdsaSha256).await), "InvalidKeyUsageException");
    assert_eq!(code(sign(&signer, SigningAlgorithmSpec::EcdsaSha384).await), "InvalidKeyUsageException");
    sign(&signer, SigningAlgorithmSpec::EcdsaSha256).await.unwrap();
    assert_eq!(code(kms.get_public_key().key_id(&sealer).send().await), "UnsupportedOperationException");
}

#[tokio::test]
async fn a_pair_is_a_real_one() {
    let double = Double::start().await.unwrap();
    let (kms, key) = (root(&double).kms(), symmetric_key(&double));
    macro_rules! proves {
        ($spec:expr, $curve:ident) => {{
            use $curve::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
            let made = kms.generate_data_key_pair_without_plaintext().key_id(&key).key_pair_spec($spec);
            let made = made.encryption_context("node", "0").send().await.unwrap();
            let sealed = made.private_key_ciphertext_blob.unwrap();
            let bare = kms.decrypt().ciphertext_blob(sealed.clone()).send().await;
            assert_eq!(code(bare), "InvalidCiphertextException");
            let opened = kms.decrypt().ciphertext_blob(sealed).encryption_context("node", "0").send().await;
            let private = opened.unwrap().plaintext.unwrap();
            let private = $curve::SecretKey::from_pkcs8_der(private.as_ref()).unwrap();
            let public = $curve::PublicKey::from_public_key_der(made.public_key.unwrap().as_ref()).unwrap();
            assert_eq!(private.public_key(), public);
        }};
    }
    proves!(DataKeyPairSpec::EccNistP256, p256);
    proves!(DataKeyPairSpec::EccNistP384, p384);
    proves!(DataKeyPairSpec::EccSecgP256K1, k256);
    let other =
        kms.generate_data_key_pair_without_plaintext().key_id(&key).key_pair_spec(DataKeyPairSpec::Rsa2048);
    assert_eq!(code(other.send().await), "NotInTheDouble");
}

#[tokio::test]
async fn a_key_that_is_not_enabled_is_described_and_not_used() {
    let double = Double::start().await.unwrap();
    let (kms, sealer) = (root(&double).kms(), symmetric_key(&double));
    let signer = key(&double, KeySpec::EccNistP256);
    for (state, refusal) in
        [(KeyState::Disabled, "DisabledException"), (KeyState::PendingDeletion, "KMSInvalidStateException")]
    {
        double.with(|world| {
            world.set_key_state(&sealer, state);
            world.set_key_state(&signer, state);
        });
        let encrypt = kms.encrypt().key_id(&sealer).plaintext(Blob::new("p")).send().await;
        let sign = kms.sign().key_id(&signer).message(Blob::new("m"));
        let sign = sign.signing_algorithm(SigningAlgorithmSpec::EcdsaSha256).send().await;
        let public = kms.get_public_key().key_id(&signer).send().await;
        assert_eq!([code(encrypt), code(sign), code(public)], [refusal; 3]);
        let told = kms.describe_key().key_id(&sealer).send().await.unwrap().key_metadata.unwrap();
        assert!(!told.enabled());
        assert_eq!(told.deletion_date().is_some(), state == KeyState::PendingDeletion);
    }
    double.with(|world| world.set_key_state(&sealer, KeyState::Enabled));
    kms.encrypt().key_id(&sealer).plaintext(Blob::new("p")).send().await.unwrap();
}

#[tokio::test]
async fn a_key_is_gone_on_its_deletion_date() {
    let double = Double::start().await.unwrap();
    let (kms, key) = (root(&double).kms(), symmetric_key(&double));
    double.with(|world| world.set_key_state(&key, KeyState::PendingDeletion));
    kms.describe_key().key_id(&key).send().await.unwrap();
    double.advance(std::time::Duration::from_hours(31 * 24));
    assert_eq!(code(kms.describe_key().key_id(&key).send().await), "NotFoundException");
}

#[tokio::test]
async fn whether_a_key_is_multi_region_is_told() {
    let double = Double::start().await.unwrap();
    let kms = root(&double).kms();
    for multi_region in [false, true] {
        let new = NewKey { multi_region, ..NewKey::new(KeySpec::SymmetricDefault, open_key_policy(ACCOUNT)) };
        let key = double.with(|world| world.create_key(&place(), new)).unwrap();
        let told = kms.describe_key().key_id(&key).send().await.unwrap().key_metadata.unwrap();
        assert_eq!(told.multi_region(), Some(multi_region));
        assert_eq!(key.contains("key/mrk-"), multi_region);
    }
}

#[tokio::test]
async fn nobody_uses_a_key_but_by_its_policy() {
    let double = Double::start().await.unwrap();
    let key = symmetric_key(&double);
    let maker = role(&double, ACCOUNT, "maker", &allow("kms:*", "*")).kms();
    let encrypt = |kms: &aws_sdk_kms::Client| kms.encrypt().key_id(&key).plaintext(Blob::new("p")).send();
    encrypt(&maker).await.unwrap();
    // Without the account in the policy its own policies are nothing, and its root is nobody.
    let only = policy(
        r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/maker"},"Action":"kms:Encrypt",
            "Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:node":"0"}}}"#,
    );
    double.with(|world| world.put_key_policy(&key, &only)).unwrap();
    assert_eq!(code(encrypt(&root(&double).kms()).await), "AccessDeniedException");
    assert_eq!(code(encrypt(&maker).await), "AccessDeniedException");
    let full = maker.encrypt().key_id(&key).plaintext(Blob::new("p")).encryption_context("node", "0");
    full.send().await.unwrap();
    let said = message(encrypt(&maker).await);
    assert!(said.contains("kms:Encrypt") && said.contains(&key), "{said}");
}

#[tokio::test]
async fn a_key_policy_names_only_who_is_there() {
    let double = Double::start().await.unwrap();
    let text = policy(
        r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/planned"},"Action":"kms:*","Resource":"*"}"#,
    );
    let new = || NewKey::new(KeySpec::SymmetricDefault, &text);
    let refused = double.with(|world| world.create_key(&place(), new())).unwrap_err();
    assert_eq!(refused.code, "MalformedPolicyDocumentException");
    role(&double, ACCOUNT, "planned", &allow("kms:Decrypt", "*"));
    double.with(|world| world.create_key(&place(), new())).unwrap();
}

#[tokio::test]
async fn a_key_serves_another_account_that_both_sides_let_in() {
    let double = Double::start().await.unwrap();
    let key = symmetric_key(&double);
    let with = role(&double, OTHER, "with", &allow("kms:Encrypt", &key)).kms();
    let without = role(&double, OTHER, "without", &allow("kms:Decrypt", &key)).kms();
    let encrypt =
        |kms: &aws_sdk_kms::Client, key: &str| kms.encrypt().key_id(key).plaintext(Blob::new("p")).send();
    assert_eq!(code(encrypt(&with, &key).await), "AccessDeniedException");
    let both = policy(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":["arn:aws:iam::{OTHER}:root","arn:aws:iam::{ACCOUNT}:root"]}},
            "Action":"kms:*","Resource":"*"}}"#
    ));
    double.with(|world| world.put_key_policy(&key, &both)).unwrap();
    encrypt(&with, &key).await.unwrap();
    assert_eq!(code(encrypt(&without, &key).await), "AccessDeniedException");
    // By its id it would be a key of that account.
    let id = key.rsplit('/').next().unwrap();
    assert_eq!(code(encrypt(&with, id).await), "NotFoundException");
}
