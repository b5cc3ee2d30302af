// Builds every page into the Python package. The result is committed: users and CI's package build need no Node.
import { build } from "esbuild";
import { copyFile, mkdir, rm } from "node:fs/promises";

const target = new URL("../src/rowcast/observe/dashboard/static/", import.meta.url);
const pages = ["live.html", "live.css"];

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
await build({
  entryPoints: ["src/live.js"],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "inline",
  outdir: target.pathname,
});
for (const page of pages) await copyFile(new URL(`src/${page}`, import.meta.url), new URL(page, target));
