// An animated PNG of screenshots, without a library: of each frame what differs from the one before.
import { deflateSync, inflateSync } from "node:zlib";

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const PIXEL = 3; // bytes: red, green, blue
const TRANSPARENT = 255; // the last colour of the palette

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

const colour = (pixels, at) => (pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2];

/** The most frequent colours, and which of them is nearest to any: text that is smoothed has some thousands. */
function palette(images) {
  const frequent = new Map();
  for (const { pixels } of images) {
    for (let at = 0; at < pixels.length; at += PIXEL) {
      const it = colour(pixels, at);
      frequent.set(it, (frequent.get(it) ?? 0) + 1);
    }
  }
  const colours = [...frequent].sort(([, a], [, b]) => b - a).slice(0, TRANSPARENT).map(([it]) => it);
  const nearest = new Map(colours.map((it, index) => [it, index]));
  const distance = (a, b) => [16, 8, 0].reduce((sum, shift) => sum + (((a >> shift) & 255) - ((b >> shift) & 255)) ** 2, 0);
  return {
    colours,
    index(it) {
      if (!nearest.has(it)) {
        let best = 0;
        for (let index = 1; index < colours.length; index++) if (distance(it, colours[index]) < distance(it, colours[best])) best = index;
        nearest.set(it, best);
      }
      return nearest.get(it);
    },
  };
}

/** The pixels of a rectangle; those that are as before are transparent. */
function compressed({ width, pixels }, before, rect, { index }) {
  const lines = Buffer.alloc((rect.width + 1) * rect.height);
  for (let y = 0, to = 0; y < rect.height; y++) {
    lines[to++] = 0; // no filter: neighbours in a palette have nothing in common
    for (let x = 0; x < rect.width; x++, to++) {
      const at = ((rect.top + y) * width + rect.left + x) * PIXEL;
      const it = colour(pixels, at);
      lines[to] = before && colour(before.pixels, at) === it ? TRANSPARENT : index(it);
    }
  }
  return deflateSync(lines, { level: 9 });
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
  const used = palette(frames.map(({ image }) => image));
  let sequence = 0;
  const chunks = frames.map(({ image, rect, ms }, index) => {
    const place = [rect.width, rect.height, rect.left, rect.top].map((value) => number(value));
    const delay = [number(Math.min(Math.round(ms), 65_535), 2), number(1000, 2)];
    const control = chunk("fcTL", number(sequence++), ...place, ...delay, Buffer.from([0, 1])); // over the one before
    const data = compressed(image, frames[index - 1]?.image, rect, used);
    return Buffer.concat([control, index === 0 ? chunk("IDAT", data) : chunk("fdAT", number(sequence++), data)]);
  });
  const header = chunk("IHDR", number(first.width), number(first.height), Buffer.from([8, 3, 0, 0, 0]));
  const colours = chunk("PLTE", ...Array.from({ length: TRANSPARENT + 1 }, (_, index) => number(used.colours[index] ?? 0, 3)));
  const clear = chunk("tRNS", Buffer.alloc(TRANSPARENT, 255), Buffer.from([0]));
  const control = chunk("acTL", number(frames.length), number(0));
  return Buffer.concat([SIGNATURE, header, control, colours, clear, ...chunks, chunk("IEND")]);
}
