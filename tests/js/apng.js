// An animated PNG of screenshots, without a library: of each frame what differs from the one before.
import { deflateSync, inflateSync } from "node:zlib";

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const PIXEL = 3; // bytes: red, green, blue

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});
const crc = (bytes) => ~bytes.reduce((sum, byte) => TABLE[(sum ^ byte) & 255] ^ (sum >>> 8), -1) >>> 0;

const number = (value, bytes = 4) => {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntBE(value, 0, bytes);
  return buffer;
};

function chunk(type, ...parts) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), ...parts]);
  return Buffer.concat([number(body.length - 4), body, number(crc(body))]);
}

/** The predictor of PNG's fourth filter. */
function paeth(left, up, corner) {
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

const PREDICTORS = [() => 0, (left) => left, (_, up) => up, (left, up) => (left + up) >> 1, paeth];

/** The pixels of a screenshot: 8 bits a colour, not interlaced. */
export function decode(png) {
  const data = [];
  let width, height, from;
  for (let at = SIGNATURE.length; at < png.length; ) {
    const length = png.readUInt32BE(at);
    const type = png.toString("latin1", at + 4, at + 8);
    const body = png.subarray(at + 8, at + 8 + length);
    if (type === "IHDR") {
      [width, height] = [body.readUInt32BE(0), body.readUInt32BE(4)];
      from = { 2: 3, 6: 4 }[body[9]];
      if (body[8] !== 8 || !from || body[12] !== 0) throw new Error("this is no PNG as Chromium makes them");
    }
    if (type === "IDAT") data.push(body);
    at += length + 12;
  }
  const bytes = inflateSync(Buffer.concat(data));
  const row = width * from;
  const lines = Buffer.alloc(row * height);
  for (let y = 0; y < height; y++) {
    const predict = PREDICTORS[bytes[y * (row + 1)]];
    for (let x = 0; x < row; x++) {
      const left = x < from ? 0 : lines[y * row + x - from];
      const up = y === 0 ? 0 : lines[(y - 1) * row + x];
      const corner = x < from || y === 0 ? 0 : lines[(y - 1) * row + x - from];
      lines[y * row + x] = bytes[y * (row + 1) + 1 + x] + predict(left, up, corner);
    }
  }
  if (from === PIXEL) return { width, height, pixels: lines };
  const pixels = Buffer.alloc(width * height * PIXEL);
  for (let n = 0; n < width * height; n++) lines.copy(pixels, n * PIXEL, n * from, n * from + PIXEL);
  return { width, height, pixels };
}

/** The smallest rectangle in which the second differs, or null. */
function difference(before, { width, height, pixels }) {
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0; y < height; y++) {
    const row = y * width * PIXEL;
    if (before.pixels.compare(pixels, row, row + width * PIXEL, row, row + width * PIXEL) === 0) continue;
    [top, bottom] = [Math.min(top, y), y + 1];
    const same = (x) => before.pixels.compare(pixels, row + x * PIXEL, row + (x + 1) * PIXEL, row + x * PIXEL, row + (x + 1) * PIXEL) === 0;
    let x = 0;
    while (x < left && same(x)) x++;
    left = Math.min(left, x);
    x = width;
    while (x > right && same(x - 1)) x--;
    right = Math.max(right, x);
  }
  return bottom === 0 ? null : { left, top, width: right - left, height: bottom - top };
}

function compressed({ width, pixels }, rect) {
  const row = rect.width * PIXEL;
  const lines = [];
  let before = Buffer.alloc(row);
  for (let y = 0; y < rect.height; y++) {
    const start = ((rect.top + y) * width + rect.left) * PIXEL;
    const line = pixels.subarray(start, start + row);
    // The filter that leaves the smallest sum is what compresses best, as a rule.
    let best = null;
    for (const [kind, predict] of PREDICTORS.entries()) {
      const filtered = Buffer.alloc(row + 1);
      filtered[0] = kind;
      let sum = 0;
      for (let x = 0; x < row; x++) {
        const byte = (line[x] - predict(x < PIXEL ? 0 : line[x - PIXEL], before[x], x < PIXEL ? 0 : before[x - PIXEL])) & 255;
        filtered[x + 1] = byte;
        sum += Math.min(byte, 256 - byte);
      }
      if (best === null || sum < best.sum) best = { filtered, sum };
    }
    lines.push(best.filtered);
    before = line;
  }
  return deflateSync(Buffer.concat(lines), { level: 9 });
}

/** One animated PNG that repeats for ever, of `{ png, ms }`: screenshots of one size, and for how long each is seen. */
export function animate(shots) {
  const frames = [];
  for (const { png, ms } of shots) {
    const image = decode(png);
    const before = frames.at(-1);
    const rect = before ? difference(before.image, image) : { left: 0, top: 0, width: image.width, height: image.height };
    if (rect) frames.push({ image, rect, ms });
    else before.ms += ms;
  }
  const [{ image: first }] = frames;
  let sequence = 0;
  const chunks = frames.map(({ image, rect, ms }, index) => {
    const place = [rect.width, rect.height, rect.left, rect.top].map((value) => number(value));
    const delay = [number(Math.min(Math.round(ms), 65_535), 2), number(1000, 2)];
    const control = chunk("fcTL", number(sequence++), ...place, ...delay, Buffer.from([0, 0]));
    const data = compressed(image, rect);
    return Buffer.concat([control, index === 0 ? chunk("IDAT", data) : chunk("fdAT", number(sequence++), data)]);
  });
  const header = chunk("IHDR", number(first.width), number(first.height), Buffer.from([8, 2, 0, 0, 0]));
  const control = chunk("acTL", number(frames.length), number(0));
  return Buffer.concat([SIGNATURE, header, control, ...chunks, chunk("IEND")]);
}
