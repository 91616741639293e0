// What is nicer with a script; every page works without one.

// A form is sent once. The server would take a second sending for the same rating, but it costs a wait.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if ("sent" in form.dataset) event.preventDefault();
  else form.dataset.sent = "";
});

// A page that comes back from history may be sent again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// How many characters are left, said where the limit comes near.
for (const area of document.querySelectorAll("textarea[maxlength][data-left]")) {
  const said = document.getElementById(area.dataset.left);
  area.addEventListener("input", () => {
    const left = area.maxLength - area.value.length;
    said.textContent = left < 200 ? `${left} characters left` : "";
  });
}
