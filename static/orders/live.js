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

  /* A line to Pusher Channels (protocol 7): its events say "look now", asking goes on without it. */
  const { line, lineChannel, lineAuth } = region.dataset;
  let tries = 0;
  function listen() {
    const socket = new WebSocket(line);
    socket.onmessage = async (message) => {
      const frame = JSON.parse(message.data);
      if (frame.event === "pusher:connection_established") {
        tries = 0;
        const socketId = JSON.parse(frame.data).socket_id;
        const answer = await fetch(lineAuth, {
          method: "POST",
          body: new URLSearchParams({ socket_id: socketId, channel_name: lineChannel }),
        });
        if (!answer.ok) return socket.close();
        const { auth } = await answer.json();
        const data = { channel: lineChannel, auth };
        socket.send(JSON.stringify({ event: "pusher:subscribe", data }));
      } else if (frame.event === "pusher_internal:subscription_succeeded") {
        region.dataset.lineState = "open";
      } else if (frame.event === "pusher:ping") {
        socket.send(JSON.stringify({ event: "pusher:pong", data: {} }));
      } else if (!frame.event.startsWith("pusher")) {
        refresh();
      }
    };
    socket.onclose = (end) => {
      region.dataset.lineState = "closed";
      // 4000-4099: connecting again as it is cannot help
      const isFinal = end.code >= 4000 && end.code < 4100;
      if (!isFinal && tries < 8) setTimeout(listen, 1000 * 2 ** tries++);
    };
  }
  if (line && "WebSocket" in window) listen();
})();
