// Reads the QR code in a photo, on this device: no picture leaves it. Loaded only when a photo is given.

import QrScanner from "./vendor/qr-scanner.min.js";

// Returns the text of the code. Raises where there is none.
export async function readCode(file) {
  // The library's own way makes the worker from a blob, which the content security policy forbids.
  const worker = new Worker(new URL("vendor/qr-scanner-worker.js", import.meta.url));
  try {
    const found = await QrScanner.scanImage(file, { qrEngine: worker, returnDetailedScanResult: true });
    return found.data;
  } finally {
    worker.terminate();
  }
}
