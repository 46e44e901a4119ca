/* Live pages: [data-live] holds what its URL returns. Without JavaScript the page reloads itself.
   A person who is in the middle of something (an open menu) is never interrupted. */
(() => {
  "use strict";
  const region = document.querySelector("[data-live]");
  if (!region) return;
  const said = document.querySelector("[data-live-said]");
  const note = document.querySelector("[data-live-note]");
  const every = Number(region.dataset.liveEvery) * 1000;
  let version = region.dataset.liveVersion;
  let seenAt = new Date();
  let misses = 0;
  let timer = 0;

  const clock = (date) => date.toTimeString().slice(0, 5);

  function swap(html) {
    const focused = document.activeElement;
    const id = focused && region.contains(focused) ? focused.id : "";
    region.innerHTML = html;
    if (id) document.getElementById(id)?.focus({ preventScroll: true });
  }

  async function refresh() {
    clearTimeout(timer);
    let isOpen = true;
    try {
      const answer = await fetch(region.dataset.live, {
        headers: { "If-None-Match": `"${version}"`, Accept: "application/json" },
        cache: "no-store",
        redirect: "manual",
      });
      if (answer.type === "opaqueredirect" || answer.status === 404) {
        location.reload(); // signed out, or the order is gone
        return;
      }
      if (answer.status !== 304 && !answer.ok) throw new Error(String(answer.status));
      if (answer.status !== 304 && !region.querySelector("details[open], :active")) {
        const page = await answer.json();
        swap(page.html);
        version = page.version;
        isOpen = page.is_open;
        if (said && page.announce !== said.textContent) said.textContent = page.announce;
      }
      misses = 0;
      seenAt = new Date();
      if (note) note.hidden = true;
    } catch {
      misses += 1;
      if (note && misses > 1) {
        note.querySelector("[data-live-at]").textContent = clock(seenAt);
        note.hidden = false;
      }
    }
    if (isOpen) timer = setTimeout(refresh, every * Math.min(2 ** misses, 12));
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) clearTimeout(timer);
    else refresh();
  });
  timer = setTimeout(refresh, every);
})();
