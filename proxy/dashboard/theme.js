// Before anything is drawn, so that a page in the dark does not flash.
"use strict";
{
  let theme = "auto";
  try {
    theme = localStorage.getItem("theme") || "auto";
  } catch {
    // no storage: as the system has it
  }
  document.documentElement.dataset.theme = theme;
}
