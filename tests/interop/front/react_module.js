// React 18 as a module: what the import map gives whoever imports 'react'.

export const { createElement, StrictMode, useEffect, useState } = window.React;
