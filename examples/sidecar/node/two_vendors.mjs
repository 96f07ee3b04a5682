// Calls two vendors through the sidecar. There is nothing to install, and no token to handle.

const sidecar = process.env.BIPED_URL ?? "http://127.0.0.1:7417";

for (const path of ["/shop/v1/orders", "/exports/v1/exports"]) {
  const response = await fetch(sidecar + path);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  console.log(path, response.status, await response.json());
}
