// The page is painted first; its scripts are fetched and run after that.

requestAnimationFrame(() => setTimeout(() => import("./app.js")));
