// Runs before anything is shown. A page opened from a disk may load neither modules nor models, so it goes to the one
// file that has everything in it.
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark", dark.matches);
dark.addEventListener("change", follow);
follow();
if (location.protocol === "file:" && !location.pathname.endsWith("/offline.html")) location.replace("offline.html");
