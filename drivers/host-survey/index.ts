export { createSurvey, type SurveyDeadlines, surveyDeadlines, type SurveyOptions } from './survey';
