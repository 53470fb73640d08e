"use strict";

// Browsers start no worker for a page that was opened from disk: there the search runs in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    #frame = document.body.appendChild(document.createElement("iframe")).contentWindow;
    #ready;

    constructor(url) {
      super();
      const frame = this.#frame;
      frame.frameElement.hidden = true;
      frame.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = frame.document.createElement("script");
      script.src = new URL(url, location);
      this.#ready = new Promise((done) => script.addEventListener("load", done));
      frame.document.head.append(script);
    }

    postMessage(data) {
      this.#ready.then(() => this.#frame.dispatchEvent(new MessageEvent("message", { data })));
    }
  };
}
