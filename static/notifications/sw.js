/* Shows what was pushed. One notification per order: the tag replaces the older one. */
"use strict";
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => {
  let news = {};
  try {
    news = event.data ? event.data.json() : {};
  } catch {
    news = { title: event.data.text() };
  }
  event.waitUntil(
    self.registration.showNotification(news.title || "Order Up", {
      body: news.body || "",
      tag: news.tag || undefined,
      renotify: Boolean(news.tag),
      icon: "/static/orders/icon.svg",
      data: { url: news.url || "/" },
    }),
  );
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const wanted = new URL(event.notification.data.url, self.location.origin);
  // a push of ours only ever opens a page of ours
  const url = wanted.origin === self.location.origin ? wanted.href : self.location.origin;
  event.waitUntil(
    self.clients.matchAll({ type: "window", includeUncontrolled: true }).then((windows) => {
      const open = windows.find((one) => one.url === url);
      return open ? open.focus() : self.clients.openWindow(url);
    }),
  );
});
