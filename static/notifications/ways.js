/* The switch "in this browser" on the order page. Hidden where the browser cannot do it. */
(() => {
  "use strict";
  const box = document.querySelector("[data-push]");
  if (!box || !("serviceWorker" in navigator) || !("PushManager" in window)) return;
  const button = box.querySelector("button");
  const said = box.querySelector("[role=status]");
  const { push: url, pushKey, pushToken, on, off, denied } = box.dataset;
  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));

  /* One made with another key is refused by its push service for ever. */
  function isOurs(subscription) {
    const key = subscription.options?.applicationServerKey;
    return !key || String(new Uint8Array(key)) === String(bytes(pushKey));
  }

  function show(isOn) {
    button.setAttribute("aria-pressed", String(isOn));
    button.textContent = isOn ? off : on;
  }

  async function tell(path, subscription) {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": pushToken },
      body: JSON.stringify(subscription),
    });
    const body = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(body.problem || String(answer.status));
    return body.on;
  }

  async function press() {
    button.disabled = true;
    said.textContent = "";
    try {
      const worker = await navigator.serviceWorker.register("/sw.js");
      await navigator.serviceWorker.ready;
      let subscription = await worker.pushManager.getSubscription();
      if (subscription && !isOurs(subscription)) {
        await subscription.unsubscribe();
        subscription = null;
      }
      if (subscription && button.getAttribute("aria-pressed") === "true") {
        show(await tell(`${url}stop/`, subscription));
        await subscription.unsubscribe();
      } else {
        subscription ||= await worker.pushManager.subscribe({
          userVisibleOnly: true,
          applicationServerKey: bytes(pushKey),
        });
        show(await tell(url, subscription));
      }
    } catch (error) {
      said.textContent = Notification.permission === "denied" ? denied : error.message;
    }
    button.disabled = false;
  }

  navigator.serviceWorker.getRegistration("/").then(async (worker) => {
    const subscription = worker && (await worker.pushManager.getSubscription());
    show(Boolean(subscription && isOurs(subscription)));
    box.hidden = false;
  });
  button.addEventListener("click", press);
})();
