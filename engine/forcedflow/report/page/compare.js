// A setting pointed at, or focused, is lit wherever it is drawn; the arrow keys walk through the rows.
for (const reading of document.querySelectorAll("[data-reading]")) {
  const marks = [...reading.querySelectorAll("[data-setting]")];
  const light = (setting) => {
    reading.classList.toggle("lighting", setting !== undefined);
    for (const mark of marks) {
      const lit = mark.dataset.setting === setting;
      mark.classList.toggle("lit", lit);
      if (lit && mark.ownerSVGElement) mark.parentNode.append(mark); // on top of the others
    }
  };
  const settingOf = (target) => target.closest?.("[data-setting]")?.dataset.setting;
  reading.addEventListener("pointerover", (event) => light(settingOf(event.target) ?? settingOf(document.activeElement)));
  reading.addEventListener("pointerleave", () => light(reading.contains(document.activeElement) ? settingOf(document.activeElement) : undefined));
  reading.addEventListener("focusin", (event) => light(settingOf(event.target)));
  reading.addEventListener("focusout", () => light(undefined));
  reading.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr[data-setting]");
    const next = row && { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
    if (event.key === "Escape") document.activeElement.blur();
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
}
