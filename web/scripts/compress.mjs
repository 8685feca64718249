// Compresses the build once, as hard as can be, so that the service need not do it for every visitor.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const out = join(import.meta.dirname, '../../src/visionloop/serving/static');
const worthwhile = /\.(html|js|css|svg|json|webmanifest)$/;
let [plain, packed] = [0, 0];
for (const entry of readdirSync(out, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !worthwhile.test(entry.name)) continue;
  const path = join(entry.parentPath, entry.name);
  const bytes = readFileSync(path);
  const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
  writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
  writeFileSync(`${path}.br`, brotli);
  plain += bytes.length;
  packed += brotli.length;
}
console.log(`compressed ${(plain / 1000).toFixed(0)} kB to ${(packed / 1000).toFixed(0)} kB`);
