// What scrolls sideways can be reached by the keyboard.
addEventListener("DOMContentLoaded", () => {
  for (const one of document.querySelectorAll("pre, .table-wrapper")) one.tabIndex = 0;
});
