// Passkeys: a device answers beside the password. Without this file the code of an authenticator app does it.

const text = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const bytes = (said) => Uint8Array.from(atob(said.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));

async function asked(purpose) {
  const answer = await fetch(`/api/v1/auth/passkey-challenge?purpose=${purpose}`);
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

function said(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = text(credential.response[name]);
  }
  return JSON.stringify({ id: credential.id, rawId: text(credential.rawId), type: credential.type, response, clientExtensionResults: {} });
}

async function answered(purpose) {
  const { challenge, site } = await asked(purpose);
  return navigator.credentials.get({ publicKey: { challenge: bytes(challenge), rpId: site, userVerification: "preferred" } });
}

async function made(button) {
  const { challenge, site } = await asked("enrol");
  const { user, name, known } = button.dataset;
  return navigator.credentials.create({
    publicKey: {
      challenge: bytes(challenge),
      rp: { id: site, name: document.title },
      user: { id: new TextEncoder().encode(user), name, displayName: name },
      pubKeyCredParams: [-8, -7, -257].map((alg) => ({ type: "public-key", alg })),
      authenticatorSelection: { residentKey: "required", userVerification: "preferred" },
      excludeCredentials: known.split(" ").filter(Boolean).map((id) => ({ type: "public-key", id: bytes(id) })),
      attestation: "none",
    },
  });
}

for (const button of window.PublicKeyCredential ? document.querySelectorAll("button[data-passkey]") : []) {
  const form = button.closest("form");
  const status = button.parentElement.querySelector("[role=status]");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      const purpose = button.dataset.passkey;
      const answer = said(await (purpose === "enrol" ? made(button) : answered(purpose)));
      const field = form.elements[button.dataset.into];
      field.removeAttribute("maxlength");
      field.type = "hidden";
      field.value = answer;
      status.textContent = button.dataset.done;
    } catch {
      status.textContent = button.dataset.failed;
    }
  });
}
