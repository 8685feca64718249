import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// `npm run dev` shows the page with live reload, and asks a service that runs already.
const service = process.env.VISIONLOOP_URL ?? 'http://127.0.0.1:3000';

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: '../src/visionloop/serving/static',
    emptyOutDir: true,
    assetsDir: 'assets',
    // Everything is a file of its own: `data:` pictures would have to be downloaded again with every new script.
    assetsInlineLimit: 0,
    target: 'es2022',
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  server: {
    port: 5173,
    proxy: {
      '^/(v1|openapi\\.json|readyz|livez|metrics)': {
        target: service,
        ws: true,
        // The service answers pages of its own origin only, unless its setting `serving.origins` names others.
        changeOrigin: true,
        headers: { origin: service },
      },
    },
  },
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.{ts,tsx}'],
    setupFiles: ['src/test-setup.ts'],
    css: { modules: { classNameStrategy: 'non-scoped' } },
  },
});
