// A browser starts no Worker for a page that was opened from a file; the search asks for one. So it gets a frame of the same
// page instead, in which the worker's script runs: what it posts comes back here, and what is posted here goes there.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inside = frame.contentWindow;
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      // Scripts that it wants besides (stemmers of other languages), one after the other.
      inside.importScripts = (...scripts) =>
        scripts.reduce((before, script) => before.then(() => this.#load(script)), Promise.resolve());
      this.inside = inside;
      this.ready = this.#load(url);
    }

    #load(url) {
      return new Promise((resolve, reject) => {
        const script = this.inside.document.createElement("script");
        script.src = url;
        script.onload = resolve;
        script.onerror = reject;
        this.inside.document.body.append(script);
      });
    }

    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new this.inside.MessageEvent("message", { data })));
    }

    terminate() {
      this.inside.frameElement.remove();
    }
  };
}
