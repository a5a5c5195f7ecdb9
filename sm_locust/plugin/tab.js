// In Locust's own page: while the tab "SageMaker" is chosen, our page stands under the tabs, in a frame of its own.
(() => {
  const root = document.getElementById("root");
  let frame = null;

  const make = () => {
    const made = document.createElement("iframe");
    made.src = "./sm-locust/";
    made.title = "SageMaker";
    made.style.cssText = "display:block;width:100%;height:80vh;border:0;background:transparent";
    made.addEventListener("load", () => {
      const page = made.contentDocument && made.contentDocument.body;
      if (!page) return;
      const fit = () => { made.style.height = page.scrollHeight + "px"; };
      new ResizeObserver(fit).observe(page);
      fit();
    });
    return made;
  };

  const show = () => {
    const chosen = root.querySelector('[role="tab"][aria-selected="true"]');
    const main = root.querySelector("main");
    if (chosen && main && chosen.textContent === "SageMaker") {
      frame = frame || make();
      if (frame.parentNode !== main) main.append(frame);
    } else if (frame) {
      frame.remove(); // with it goes its polling
      frame = null;
    }
  };

  new MutationObserver(show).observe(root, { subtree: true, childList: true, attributeFilter: ["aria-selected"] });
  show();
})();
