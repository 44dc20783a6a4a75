import { failure } from "../../base/error.ts";

export const sectorBytes = 512;
export const clusterBytes = 4096;
/** The first cluster's number: 0 and 1 stand for other things in the table. */
export const firstCluster = 2;

/** How a FAT32 volume is divided. Offsets and sizes in sectors of 512 bytes, unless named otherwise. */
export interface Geometry {
  readonly totalSectors: number;
  readonly reservedSectors: number;
  readonly sectorsPerTable: number;
  readonly clusters: number;
  /** Byte offset of a table: 0 and 1 are copies of each other. */
  readonly tableStart: (copy: 0 | 1) => number;
  /** Byte offset of a cluster, a multiple of 4096. */
  readonly clusterStart: (cluster: number) => number;
}

/**
 * The geometry of a FAT32 volume of `size` bytes with 4 KiB clusters (Microsoft FAT specification, 2005,
 * section 3.5). Reserved sectors and tables are whole multiples of 4 KiB, so that clusters are aligned.
 *
 * @throws MesoError `bad-fat-size` where that is no FAT32.
 */
export function fatGeometry(size: number): Geometry {
  const totalSectors = size / sectorBytes;
  const atMost = Math.floor((totalSectors - reservedSectors) / sectorsPerCluster);
  const sectorsPerTable =
    Math.ceil(((atMost + firstCluster) * 4) / sectorBytes / sectorsPerCluster) * sectorsPerCluster;
  const clusters = Math.floor((totalSectors - reservedSectors - 2 * sectorsPerTable) / sectorsPerCluster);
  if (!Number.isSafeInteger(totalSectors) || clusters < fewestClusters || totalSectors > 0xffff_ffff) {
    throw failure("bad-fat-size", `a FAT32 file system of ${size} bytes`, {
      expected: "a multiple of 512 from 264 MiB to 2 TiB: with 4 KiB clusters, FAT32 begins at 65525 of them",
    });
  }
  const dataStart = (reservedSectors + 2 * sectorsPerTable) * sectorBytes;
  return {
    totalSectors,
    reservedSectors,
    sectorsPerTable,
    clusters,
    tableStart: (copy) => (reservedSectors + copy * sectorsPerTable) * sectorBytes,
    clusterStart: (cluster) => dataStart + (cluster - firstCluster) * clusterBytes,
  };
}

export const sectorsPerCluster = clusterBytes / sectorBytes;
const reservedSectors = 32;

/** Fewer would be FAT16 (section 3.5, "Determination of FAT type"); a margin, as drivers differ by a few. */
const fewestClusters = 65525 + 16;
