// Printing: canvases that scripts size do not follow a sheet's width, so a sheet gets one picture of them all, in light
// colours.
function addPrinting(stage, setTheme) {
  let kept = null;
  const draw = () => {
    const picture = byId("printed"), profile = byId("profile"), ratio = window.devicePixelRatio, shot = stage.chart.takeScreenshot(true, false);
    const aside = profile.clientWidth ? profile.width : 0;
    [picture.width, picture.height] = [shot.width + aside, shot.height];
    const context = picture.getContext("2d");
    context.fillStyle = css("--stage");
    context.fillRect(0, 0, picture.width, picture.height);
    context.drawImage(shot, 0, 0);
    if (aside) context.drawImage(profile, shot.width, 0);
    context.fillStyle = css("--muted");
    context.font = `${11 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    context.textBaseline = "top";
    for (const label of document.querySelectorAll(".pane-name, #profile-title"))
      if (label.offsetWidth)
        label.textContent.split("\n").forEach((text, k) => context.fillText(text, label.offsetLeft * ratio, (label.offsetTop + 15 * k) * ratio));
  };
  window.addEventListener("beforeprint", () => {
    kept = { theme: document.documentElement.dataset.theme, range: stage.scale.getVisibleLogicalRange() };
    setTheme("light");
    stage.drawProfile();
    draw();
  });
  window.addEventListener("afterprint", () => {
    setTheme(kept.theme);
    requestAnimationFrame(() => stage.scale.setVisibleLogicalRange(kept.range));
  });
}
