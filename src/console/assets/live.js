// Keeps parts of a page up to date by server-sent events. Without it, the page is as it was when it was opened.
for (const part of document.querySelectorAll("[data-live]")) {
  new EventSource(part.dataset.live).onmessage = (event) => {
    // What has the focus keeps it: links are the same before and after.
    const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    part.innerHTML = event.data;
    if (focused) part.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
  };
}
