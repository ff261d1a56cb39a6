// A page that shows one run, or one map, from the data inside it.
(async () => {
  const scene = await readScene(JSON.parse(byId("payload").textContent));
  const stage = new Stage(scene);
  const setTheme = addTheme(stage);
  addKeys(stage);
  addToggles(stage);
  addPrinting(stage, setTheme);
  if (scene.trades) new TradeList(stage);
  if (!scene.map) document.querySelector(".scale").remove();
  showAll(stage);
  requestAnimationFrame(() => requestAnimationFrame(() => {
    stage.namePanes();
    window.forcedflow = { stage, jump: (k) => jump(stage, k), version: LWC.version(), range: () => stage.scale.getVisibleLogicalRange() };
    document.documentElement.dataset.ready = "true";
  }));
})();
