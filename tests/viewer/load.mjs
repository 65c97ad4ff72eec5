// Loads segmentations and hydrates reports with cornerstone3D's adapters, as OHIF does, without a browser.
//
// stdin:  {"sources": {name: [image, ...]}, "segmentations": [{"path", "source"}], "reports": [{"path", "source"}]}
//         image: {"sop", "series", "frameOfReference", "frame", "rows", "columns", "position", "orientation", "spacing"}
// stdout: {path: {"voxels": {segment number: count}, "names": {segment number: label}} | {"annotations": [{"tool", "tracking", "plane", "points"}]} | {"error": text}}
import { readFileSync } from 'node:fs';

globalThis.window ??= globalThis;
globalThis.document ??= { createElement: () => ({ getContext: () => null }), addEventListener: () => {} };
globalThis.self ??= globalThis;
for (const level of ['log', 'info', 'warn', 'debug']) console[level] = () => {};

const { data } = (await import('dcmjs')).default;
const { metaData, cache } = await import('@cornerstonejs/core');
const { adaptersSEG, adaptersSR } = await import('@cornerstonejs/adapters');

const asked = JSON.parse(readFileSync(0, 'utf8'));
const images = new Map();
for (const [name, list] of Object.entries(asked.sources)) {
  for (const image of list) images.set(imageIdOf(name, image), image);
}

function imageIdOf(source, image) {
  return `wadors:/${source}/instances/${image.sop}/frames/${image.frame}`;
}

function describe(type, imageId) {
  const image = images.get(imageId);
  if (!image) return undefined;
  const [row, column] = [image.orientation.slice(0, 3), image.orientation.slice(3)];
  switch (type) {
    case 'imagePlaneModule':
      return {
        frameOfReferenceUID: image.frameOfReference, rows: image.rows, columns: image.columns,
        imagePositionPatient: image.position, imageOrientationPatient: image.orientation,
        rowCosines: row, columnCosines: column, pixelSpacing: image.spacing,
        rowPixelSpacing: image.spacing[0], columnPixelSpacing: image.spacing[1],
      };
    case 'generalSeriesModule':
      return { seriesInstanceUID: image.series, modality: 'CT' };
    case 'generalImageModule':
      return { sopInstanceUID: image.sop };
    case 'sopCommonModule':
      return { sopInstanceUID: image.sop };
    case 'imagePixelModule':
      return { bitsAllocated: 16, bitsStored: 16, highBit: 15, samplesPerPixel: 1, pixelRepresentation: 1 };
    case 'instance':
      return {
        SOPInstanceUID: image.sop, SeriesInstanceUID: image.series, FrameOfReferenceUID: image.frameOfReference,
        Rows: image.rows, Columns: image.columns, ImagePositionPatient: image.position,
        ImageOrientationPatient: image.orientation, PixelSpacing: image.spacing,
      };
  }
  return undefined;
}

metaData.addProvider(describe, 10000);

function readBytes(path) {
  const bytes = readFileSync(path);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

async function countVoxels({ path, source }) {
  const instances = new Map();
  const metadataProvider = {
    get: (type, id) => (type === 'instance' && instances.get(id)) || metaData.get(type, id),
    addCustomMetadata: (id, type, value) => instances.set(id, value),
  };
  const ids = asked.sources[source].map(image => imageIdOf(source, image));
  const made = await adaptersSEG.Cornerstone3D.Segmentation.createFromDICOMSegBuffer(ids, readBytes(path), { metadataProvider });
  const voxels = {};
  for (const labelMap of made.labelMapImages.map(entry => [entry].flat()).flat()) {
    for (const value of labelMap.voxelManager.getScalarData()) if (value) voxels[value] = (voxels[value] ?? 0) + 1;
  }
  cache.purgeCache();
  const names = Object.fromEntries(Object.keys(voxels).map(number => [number, made.segMetadata.data[number]?.SegmentLabel]));
  return { voxels, names };
}

// The inverse of cornerstone's imageToWorldCoords, center of the first pixel at (0, 0). Like that function, which takes
// the distance of rows for that of columns and back, so that boxes on pixels that are not square are drawn misplaced.
function toPixel(point, image) {
  const offset = point.map((value, axis) => value - image.position[axis]);
  const along = cosines => offset.reduce((sum, value, axis) => sum + value * cosines[axis], 0);
  return [along(image.orientation.slice(0, 3)) / image.spacing[0], along(image.orientation.slice(3)) / image.spacing[1]];
}

function hydrate({ path, source }) {
  const parsed = data.DicomMessage.readFile(readBytes(path));
  const dataset = data.DicomMetaDictionary.naturalizeDataset(parsed.dict);
  const byInstance = {};
  for (const image of asked.sources[source]) byInstance[`${image.sop}:${image.frame}`] = imageIdOf(source, image);
  const state = adaptersSR.Cornerstone3D.MeasurementReport.generateToolState(dataset, byInstance, metaData);
  const annotations = Object.entries(state).flatMap(([tool, list]) =>
    list.map(made => {
      const { referencedImageId } = made.annotation.metadata;
      const plane = Object.values(byInstance).indexOf(referencedImageId);
      const points = made.annotation.data.handles.points.map(point => toPixel(point, images.get(referencedImageId)));
      return { tool, tracking: made.TrackingUniqueIdentifier ?? null, plane, points };
    }));
  return { annotations };
}

const answers = {};
for (const [list, work] of [[asked.segmentations, countVoxels], [asked.reports, hydrate]]) {
  for (const entry of list) {
    try {
      answers[entry.path] = await work(entry);
    } catch (problem) {
      answers[entry.path] = { error: String(problem?.stack ?? problem).slice(0, 400) };
    }
  }
}
process.stdout.write(JSON.stringify(answers), () => process.exit(0));
