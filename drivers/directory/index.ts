export {
  createDirectoryStorage,
  type DirectoryStorage,
  type DirectoryStorageOptions,
} from './directory-storage';
